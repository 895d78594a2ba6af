//! A statement takes the whole SQLite transaction with it, in a nested scope: its error is the
//! cause of all that fails after it.

use sqlx::{AssertSqlSafe, Executor};
use txn::{Error, Sqlite, Tx, transactional};

use super::{Fixture, insert};
use crate::support::warnings::Warnings;

/// A statement, and the code and the words that it fails with.
type Fault = (&'static str, &'static str, &'static str);

const FAULTS: [Fault; 4] = [
    ("INSERT INTO blob VALUES (zeroblob(10000000))", "13", "database or disk is full"),
    ("INSERT OR ROLLBACK INTO t VALUES (1, 0)", "1555", "UNIQUE constraint failed"),
    ("UPDATE OR ROLLBACK t SET id = 1", "1555", "UNIQUE constraint failed"),
    ("INSERT INTO refused VALUES (1)", "1811", "not here"),
];

async fn fixture() -> Fixture<Sqlite> {
    let db = Fixture::<Sqlite>::of_sessions(1).await;
    for sql in [
        "CREATE TABLE blob (b BLOB)",
        "CREATE TABLE refused (id INT)",
        "CREATE TRIGGER no BEFORE INSERT ON refused BEGIN SELECT RAISE(ROLLBACK, 'not here'); END",
        // The disk has this many pages: two thirds of a megabyte.
        "PRAGMA max_page_count = 160",
    ] {
        let mut session = db.session().await.unwrap();
        session.execute(sql).await.unwrap();
    }
    db
}

#[transactional(nested)]
async fn fails(tx: &mut Tx<Sqlite>, sql: &'static str) -> Result<(), Error> {
    insert(tx, 2).await?;
    tx.execute(sql).await?;
    Ok(())
}

/// This scope swallows the error of its statement.
#[transactional(nested)]
async fn swallows(tx: &mut Tx<Sqlite>, sql: &'static str) -> Result<(), Error> {
    insert(tx, 2).await?;
    tx.execute(sql).await.unwrap_err();
    Ok(())
}

#[transactional(nested)]
async fn deep(tx: &mut Tx<Sqlite>, sql: &'static str) -> Result<(), Error> {
    insert(tx, 3).await?;
    fails(tx, sql).await
}

#[transactional]
async fn goes_on(tx: &mut Tx<Sqlite>, sql: &'static str, depth: u32) -> Result<(), Error> {
    insert(tx, 1).await?;
    let inner = match depth {
        0 => swallows(tx, sql).await,
        1 => fails(tx, sql).await,
        _ => deep(tx, sql).await,
    };
    inner.unwrap_err();
    insert(tx, 4).await?;
    unreachable!("nothing of the transaction is left to go on with")
}

#[transactional]
async fn returns_ok(tx: &mut Tx<Sqlite>, sql: &'static str) -> Result<(), Error> {
    insert(tx, 1).await?;
    fails(tx, sql).await.unwrap_err();
    Ok(())
}

#[track_caller]
fn assert_names(error: &Error, (sql, code, words): Fault) {
    let text = error.to_string();
    assert_eq!(error.code().as_deref(), Some(code), "{sql}: {text}");
    assert!(text.contains(words), "{sql}: {text}");
    assert!(!text.contains("savepoint"), "{sql}: {text}");
}

#[tokio::test]
async fn the_statement_after_a_nested_scope_that_took_everything_names_the_cause() {
    let db = fixture().await;
    for fault in FAULTS {
        for depth in 0..3 {
            let error = goes_on(&*db, fault.0, depth).await.unwrap_err();
            assert!(error.is_aborted(), "{error}");
            assert_names(&error, fault);
            assert!(db.ids().await.is_empty());
        }
    }
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

#[tokio::test]
async fn a_commit_after_a_nested_scope_that_took_everything_names_the_cause() {
    let db = fixture().await;
    for fault in FAULTS {
        let error = returns_ok(&*db, fault.0).await.unwrap_err();
        assert_names(&error, fault);
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        assert_names(&fails(&mut tx, fault.0).await.unwrap_err(), fault);
        assert_names(&tx.commit().await.unwrap_err(), fault);
        assert!(db.ids().await.is_empty());
    }
    db.assert_at_rest().await;
}

/// The rollback has not failed: there was nothing left of the savepoint to roll back to.
#[tokio::test]
async fn a_nested_scope_that_took_everything_is_no_failed_rollback() {
    let db = fixture().await;
    let warnings = Warnings::listen();
    returns_ok(&*db, FAULTS[0].0).await.unwrap_err();
    assert_eq!(warnings.all(), [""; 0]);
}

#[tokio::test]
async fn a_statement_that_fails_by_itself_takes_no_more_than_its_nested_scope() {
    let db = fixture().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let fails_alone = "INSERT INTO t VALUES (1, 0)";
    fails(&mut tx, fails_alone).await.unwrap_err();
    insert(&mut tx, 5).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 5]);
    let pages = db.fetch_one(AssertSqlSafe("PRAGMA max_page_count".to_owned())).await;
    assert_eq!(sqlx::Row::get::<i64, _>(&pages.unwrap(), 0), 160);
}

/// A sandbox loses all that it holds with its transaction, and says so.
#[tokio::test]
async fn a_sandbox_whose_transaction_was_taken_names_the_cause_and_is_over() {
    let db = fixture().await;
    for fault in FAULTS {
        let sandbox = db.sandbox().await.unwrap();
        let error = returns_ok(&sandbox, fault.0).await.unwrap_err();
        assert_names(&error, fault);
        let over = returns_ok(&sandbox, fault.0).await.unwrap_err();
        assert!(over.to_string().contains("lost its transaction"), "{over}");
        sandbox.close().await;
        assert!(db.ids().await.is_empty());
    }
    db.assert_at_rest().await;
}
