//! MySQL and MariaDB have settings that would turn each statement into the beginning of a
//! transaction, or chain one transaction to the next, and procedures that begin and commit unseen.

use sqlx::{AssertSqlSafe, Executor};
use txn::{Db, Error, MySql, Tx, transactional};
use txn_test_servers::Options;

use super::{Fixture, TestEngine, insert};
use crate::support::warnings::Warnings;

const SETTINGS: &str = "SELECT CAST(@@SESSION.autocommit AS SIGNED) * 10 + \
    CAST(@@SESSION.completion_type = 'NO_CHAIN' AS SIGNED)";
const AS_RELIED_ON: i64 = 11;

async fn settings(db: &Db<MySql>) -> i64 {
    MySql::number(&db.fetch_one(SETTINGS).await.unwrap())
}

#[tokio::test]
async fn statements_are_committed_on_a_server_that_has_autocommit_off() {
    let arguments = ["--autocommit=0", "--completion-type=CHAIN"];
    let server = Options::mariadb().arguments(arguments).start().unwrap();
    let db = Db::<MySql>::connect(&server.url()).await.unwrap();
    db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)").await.unwrap();
    db.execute("INSERT INTO t VALUES (1, 0)").await.unwrap();
    let mut session = db.session().await.unwrap();
    session.execute("INSERT INTO t VALUES (2, 0)").await.unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(settings(&db).await, AS_RELIED_ON);
    let other = Db::<MySql>::connect(&server.url()).await.unwrap();
    let rows = other.fetch_all("SELECT id FROM t").await.unwrap();
    assert_eq!(rows.len(), 3);
}

#[transactional]
async fn sets(tx: &mut Tx<MySql>, sql: &'static str) -> Result<(), Error> {
    insert(tx, 1).await?;
    tx.execute(sql).await?;
    Ok(())
}

#[tokio::test]
async fn a_statement_that_would_take_them_away_is_refused_everywhere() {
    let db = Fixture::<MySql>::of_sessions(1).await;
    for sql in [
        "SET autocommit = 0",
        "/* now */ SET SESSION autocommit=OFF",
        "SET @@session.completion_type = 'CHAIN'",
    ] {
        let in_scope = sets(&*db, sql).await.unwrap_err().to_string();
        let on_handle = db.execute(sql).await.unwrap_err().to_string();
        let mut session = db.session().await.unwrap();
        let on_session = session.execute(sql).await.unwrap_err().to_string();
        for error in [in_scope, on_handle, on_session] {
            assert!(error.contains("was refused: the runtime relies on its value"), "{error}");
        }
    }
    assert!(db.ids().await.is_empty());
    db.execute("SET autocommit = 1").await.unwrap();
}

#[tokio::test]
async fn what_is_hidden_in_a_script_is_undone_before_the_next_user() {
    let db = Fixture::<MySql>::of_sessions(1).await;
    let warnings = Warnings::listen();
    let script = "SELECT 1; SET autocommit = 0, completion_type = 'CHAIN'";
    db.execute(script).await.unwrap();
    assert_eq!(settings(&db).await, AS_RELIED_ON);
    sets(&*db, script).await.unwrap();
    assert_eq!(settings(&db).await, AS_RELIED_ON);
    let raw = async |script| {
        let mut tx = db.begin().await.unwrap();
        tx.connection().await.unwrap().execute(script).await.unwrap();
        tx.rollback().await.unwrap();
    };
    raw(script).await;
    assert_eq!(settings(&db).await, AS_RELIED_ON);

    let script = "SELECT 2; SET autocommit = 0; INSERT INTO t VALUES (2, 0)";
    db.execute(script).await.unwrap();
    assert_eq!(settings(&db).await, AS_RELIED_ON);
    assert_eq!(warnings.with("`SELECT 2; SET autocommit"), 1, "{:?}", warnings.all());
    assert_eq!(db.ids().await, [1]);
    assert_eq!(db.status().open, 1);
}

/// A database with procedures of the test's own.
async fn with_procedures() -> Fixture<MySql> {
    let db = Fixture::<MySql>::of_sessions(1).await;
    for (name, body) in [
        ("writes", "INSERT INTO t VALUES (10, 0)"),
        ("commits", "INSERT INTO t VALUES (11, 0); COMMIT"),
        ("goes_on", "DELETE FROM t; COMMIT; START TRANSACTION; INSERT INTO t VALUES (12, 0)"),
        ("leaves_open", "START TRANSACTION; INSERT INTO t VALUES (13, 0)"),
        ("sets", "SET autocommit = 0"),
    ] {
        let sql = format!("CREATE PROCEDURE {name}() BEGIN {body}; END");
        db.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    db
}

fn ends(well: bool) -> Result<(), Error> {
    match well {
        true => Ok(()),
        false => Err(sqlx::Error::RowNotFound.into()),
    }
}

#[transactional(nested)]
async fn calls_nested(tx: &mut Tx<MySql>, call: &'static str, well: bool) -> Result<(), Error> {
    insert(tx, 2).await?;
    tx.execute(call).await?;
    insert(tx, 3).await?;
    ends(well)
}

/// Calls in a nested scope, whose failure it passes on only if it is told so.
#[transactional]
async fn calls_inside(
    tx: &mut Tx<MySql>,
    call: &'static str,
    [inner_well, outer_well]: [bool; 2],
) -> Result<(), Error> {
    insert(tx, 1).await?;
    let inner = calls_nested(tx, call, inner_well).await;
    assert!(inner.is_ok() == inner_well || inner.is_err_and(|error| !error.is_retryable()));
    insert(tx, 4).await?;
    ends(outer_well)
}

#[transactional]
async fn calls(tx: &mut Tx<MySql>, call: &'static str, ends_well: bool) -> Result<(), Error> {
    insert(tx, 1).await?;
    tx.execute(call).await?;
    ends(ends_well)
}

/// Goes on after the call, so that the server is asked in the middle of the scope.
#[transactional]
async fn calls_first(tx: &mut Tx<MySql>, call: &'static str, ends_well: bool) -> Result<(), Error> {
    insert(tx, 1).await?;
    tx.execute(call).await?;
    insert(tx, 4).await.ok();
    ends(ends_well)
}

#[tokio::test]
async fn a_procedure_that_commits_is_no_success_and_no_rollback_of_its_scope() {
    let db = with_procedures().await;
    for call in [
        "CALL commits()",
        "EXECUTE IMMEDIATE 'COMMIT'",
        "BEGIN NOT ATOMIC COMMIT; END",
        "IF TRUE THEN COMMIT; END IF",
    ] {
        for ends_well in [true, false] {
            let error = calls(&*db, call, ends_well).await.unwrap_err();
            assert!(error.is_partly_committed(), "{call}: {error}");
            assert!(error.to_string().contains(call), "{call}: {error}");
            assert_eq!(db.ids().await[0], 1, "{call}");
            db.execute("DELETE FROM t").await.unwrap();
        }
    }
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

/// The transaction that the procedure leaves open looks like the one that was begun.
#[tokio::test]
async fn a_procedure_that_commits_and_begins_anew_does_not_pass_for_the_transaction() {
    let db = with_procedures().await;
    for ends_well in [true, false] {
        let error = calls(&*db, "CALL goes_on()", ends_well).await.unwrap_err();
        assert!(error.is_partly_committed(), "{error}");
        assert!(db.ids().await.is_empty(), "what it left open is rolled back");
        let error = calls_first(&*db, "CALL goes_on()", ends_well).await.unwrap_err();
        assert!(error.is_partly_committed(), "{error}");
        assert!(db.ids().await.is_empty(), "what it left open is rolled back");
    }
}

#[tokio::test]
async fn nor_does_one_that_is_called_in_a_nested_scope() {
    let db = with_procedures().await;
    for ends_well in [[true, true], [true, false], [false, true], [false, false]] {
        let error = calls_inside(&*db, "CALL goes_on()", ends_well).await.unwrap_err();
        assert!(error.is_partly_committed(), "{ends_well:?}: {error}");
        assert!(db.ids().await.is_empty(), "what it left open is rolled back");
    }
    db.assert_at_rest().await;
}

/// The server is asked twice in the nested scope, and once more after it.
#[tokio::test]
async fn savepoints_are_what_they_were_after_a_call_in_a_nested_scope() {
    let db = with_procedures().await;
    for (ends_well, left) in [
        ([true, true], &[1, 2, 3, 4, 10][..]),
        ([true, false], &[]),
        ([false, true], &[1, 4]),
        ([false, false], &[]),
    ] {
        let result = calls_inside(&*db, "CALL writes()", ends_well).await;
        assert_eq!(result.is_ok(), ends_well[1], "{ends_well:?}");
        assert_eq!(db.ids().await, left, "{ends_well:?}");
        db.execute("DELETE FROM t").await.unwrap();
    }
    db.assert_at_rest().await;
}

/// What stands behind FOR, or in such a comment, runs like any other statement.
#[tokio::test]
async fn a_statement_inside_of_another_is_seen() {
    let db = with_procedures().await;
    for call in [
        "SET STATEMENT max_statement_time = 100 FOR CALL commits()",
        "SET STATEMENT max_statement_time = 100 FOR CALL goes_on()",
        "/*M! CALL commits() */",
        "/*M!100100 CALL commits() */",
    ] {
        for ends_well in [true, false] {
            let error = calls_first(&*db, call, ends_well).await.unwrap_err();
            assert!(error.is_partly_committed(), "{call}: {error}");
            db.execute("DELETE FROM t").await.unwrap();
        }
    }
    for sql in [
        "SET STATEMENT max_statement_time = 100 FOR TRUNCATE t",
        "/*M! TRUNCATE t */",
        "/*M! COMMIT */",
    ] {
        let error = sets(&*db, sql).await.unwrap_err().to_string();
        assert!(error.contains("was refused"), "{sql}: {error}");
        assert!(db.ids().await.is_empty(), "{sql}");
    }
    let carried = "SET STATEMENT max_statement_time = 100 FOR INSERT INTO t VALUES (5, 0)";
    sets(&*db, carried).await.unwrap();
    assert_eq!(db.ids().await, [1, 5]);
}

#[tokio::test]
async fn a_procedure_that_stays_inside_is_part_of_its_scope() {
    let db = with_procedures().await;
    calls(&*db, "CALL writes()", false).await.unwrap_err();
    assert!(db.ids().await.is_empty());
    let block = "BEGIN NOT ATOMIC INSERT INTO t VALUES (20, 0); INSERT INTO t VALUES (21, 0); END";
    calls(&*db, block, false).await.unwrap_err();
    assert!(db.ids().await.is_empty());
    calls(&*db, "CALL writes()", true).await.unwrap();
    assert_eq!(db.ids().await, [1, 10]);
}

#[tokio::test]
async fn a_procedure_on_the_handle_leaves_nothing_behind_for_the_next() {
    let db = with_procedures().await;
    let warnings = Warnings::listen();
    db.execute("CALL leaves_open()").await.unwrap();
    assert!(db.ids().await.is_empty());
    assert_eq!(warnings.with("was left open: rolled back"), 1, "{:?}", warnings.all());
    db.execute("CALL sets()").await.unwrap();
    assert_eq!(settings(&db).await, AS_RELIED_ON);
    calls(&*db, "CALL sets()", true).await.unwrap();
    assert_eq!(settings(&db).await, AS_RELIED_ON);
    let sandbox = db.sandbox().await.unwrap();
    calls(&sandbox, "CALL sets()", false).await.unwrap_err();
    sandbox.close().await;
    assert_eq!(settings(&db).await, AS_RELIED_ON);
    assert_eq!(db.status().open, 1);
}

#[tokio::test]
async fn temporary_tables_may_be_replaced_in_a_scope() {
    let db = Fixture::<MySql>::of_sessions(1).await;
    let create = "CREATE OR REPLACE TEMPORARY TABLE u (id INT)";
    calls(&*db, create, false).await.unwrap_err();
    assert!(db.ids().await.is_empty(), "it has committed nothing");
    calls(&*db, "ANALYZE SELECT * FROM t", true).await.unwrap();
    assert_eq!(db.ids().await, [1]);
}

/// An XA transaction that is prepared belongs to no session, and any session may end it.
#[tokio::test]
async fn a_prepared_transaction_is_ended_through_the_handle() {
    let db = Fixture::<MySql>::of_sessions(1).await;
    let id = db.place().name.clone();
    let mut session = db.session().await.unwrap();
    let prepare = format!(
        "XA START '{id}'; INSERT INTO t VALUES (1, 0); XA END '{id}'; XA PREPARE '{id}'"
    );
    session.execute(AssertSqlSafe(prepare)).await.unwrap();
    drop(session);
    db.settled().await;
    assert!(db.ids().await.is_empty());
    db.execute(AssertSqlSafe(format!("XA COMMIT '{id}'"))).await.unwrap();
    assert_eq!(db.ids().await, [1]);
    db.execute("DELETE FROM t").await.unwrap();
    let error = sets(&*db, "XA COMMIT 'x'").await.unwrap_err().to_string();
    assert!(error.contains("through `&Db`"), "{error}");
}
