//! The driver, or the server, calls some errors of the program errors of the protocol or of a
//! connection.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::TryStreamExt;
use sqlx::{Executor, Row};
use txn::{Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, number};
use crate::support::dialect::Dialect;

/// A fixture with one session, so that the test sees whether the session is kept.
async fn of_one_session() -> Fixture<DB> {
    let db = Fixture::<DB>::of_sessions(1).await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 10)").await.unwrap();
    db
}

#[track_caller]
fn assert_of_the_program(error: impl Into<Error>) {
    let error = error.into();
    assert!(!error.is_connection() && !error.is_retryable(), "{error}");
    assert!(!error.is_commit_unknown() && !error.is_timeout(), "{error}");
}

/// The session is the one that was there before.
async fn assert_kept(db: &Fixture<DB>, before: i64) {
    db.assert_at_rest().await;
    db.assert_sessions(1, 1, 0, 0);
    assert_eq!(mark(db).await, before, "another session");
}

/// Marks the session by something of its own.
async fn mark(db: &Fixture<DB>) -> i64 {
    let mut session = db.session().await.unwrap();
    session.execute("CREATE TEMPORARY TABLE IF NOT EXISTS mark (n BIGINT)").await.unwrap();
    session.execute("INSERT INTO mark SELECT COUNT(*) FROM t").await.unwrap();
    let row = session.fetch_one("SELECT COUNT(*) FROM mark").await.unwrap();
    i64::from(DB::number(&row) > 1)
}

#[transactional(retry = 5)]
async fn forgets(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    forgets_inside(tx).await?;
    Ok(())
}

#[transactional]
async fn forgets_inside(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    sqlx::query(DB::UNBOUND).fetch_all(tx).await.map(drop)
}

#[transactional(nested)]
async fn forgets_nested(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 2).await?;
    sqlx::query(DB::UNBOUND).execute(tx).await.map(drop)
}

#[tokio::test]
async fn a_bind_that_was_forgotten_is_not_run_again_and_costs_no_session() {
    let db = of_one_session().await;
    mark(&db).await;
    let ran = AtomicU32::new(0);
    assert_of_the_program(forgets(&*db, &ran).await.unwrap_err());
    assert_eq!(ran.into_inner(), 1);
    assert_kept(&db, 1).await;
}

#[tokio::test]
async fn a_bind_that_was_forgotten_in_a_statement_of_its_own_costs_no_session() {
    let db = of_one_session().await;
    mark(&db).await;
    let query = || sqlx::query(DB::UNBOUND);
    assert_of_the_program(query().execute(&*db).await.unwrap_err());
    assert_of_the_program(query().fetch_one(&*db).await.unwrap_err());
    assert_of_the_program(query().fetch_optional(&*db).await.err().unwrap());
    assert_of_the_program(query().fetch_all(&*db).await.err().unwrap());
    assert_of_the_program(query().fetch(&*db).try_next().await.err().unwrap());
    assert_kept(&db, 1).await;
    let mut session = db.session().await.unwrap();
    assert_of_the_program(query().execute(&mut session).await.unwrap_err());
    let row = session.fetch_one("SELECT COUNT(*) FROM t").await.unwrap();
    assert_eq!(DB::number(&row), 1);
    drop(session);
    assert_kept(&db, 1).await;
}

#[tokio::test]
async fn a_transaction_goes_on_after_a_forgotten_bind_as_after_any_statement_that_fails() {
    let db = of_one_session().await;
    mark(&db).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 3).await.unwrap();
    assert_of_the_program(forgets_nested(&mut tx).await.unwrap_err());
    insert(&mut tx, 4).await.unwrap();
    assert_of_the_program(sqlx::query(DB::UNBOUND).fetch_optional(&mut tx).await.err().unwrap());
    if DB::FAILURE_ABORTS {
        assert!(tx.commit().await.unwrap_err().is_aborted());
    } else {
        assert_eq!(number(&mut tx, "SELECT COUNT(*) FROM t").await.unwrap(), 3);
        tx.commit().await.unwrap();
        assert_eq!(db.ids().await, [1, 3, 4]);
    }
    assert_kept(&db, 1).await;
}

#[tokio::test]
async fn a_sandbox_survives_a_forgotten_bind() {
    let db = of_one_session().await;
    let sandbox = db.sandbox().await.unwrap();
    let ran = AtomicU32::new(0);
    assert_of_the_program(forgets(&sandbox, &ran).await.unwrap_err());
    assert_of_the_program(sqlx::query(DB::UNBOUND).execute(&sandbox).await.unwrap_err());
    let mut tx = sandbox.begin().await.unwrap();
    insert(&mut tx, 5).await.unwrap();
    tx.commit().await.unwrap();
    let rows = sandbox.fetch_all("SELECT id FROM t ORDER BY id").await.unwrap();
    assert_eq!(rows.iter().map(DB::number).collect::<Vec<_>>(), [1, 5]);
    assert_eq!(ran.into_inner(), 1);
}

/// There are so many arguments that no message can hold them.
#[tokio::test]
async fn too_many_binds_are_an_error_of_the_program() {
    let db = of_one_session().await;
    mark(&db).await;
    let mut query = sqlx::QueryBuilder::<DB>::new("SELECT n FROM t WHERE id IN (");
    let mut ids = query.separated(", ");
    for id in 0..70_000_i64 {
        ids.push_bind(id);
    }
    query.push(")");
    assert_of_the_program(query.build().fetch_all(&*db).await.err().unwrap());
    assert_kept(&db, 1).await;
}

/// A question mark is not always the place of a bind.
#[tokio::test]
async fn binds_beside_question_marks_in_the_text_go_where_they_belong() {
    let db = of_one_session().await;
    let select = DB::SELECT_WITH_BIND.replacen("n FROM", "n, 'why?' AS why /* ? */ FROM", 1);
    for _ in 0..2 {
        let query = sqlx::query(sqlx::AssertSqlSafe(select.clone()));
        let row = query.bind(1_i64).fetch_one(&*db).await.unwrap();
        assert_eq!((row.get::<i64, _>(0), row.get::<String, _>(1)), (10, "why?".into()));
    }
    // There are more arguments than places for them, which SQLite does not mind.
    let query = sqlx::query(DB::SELECT_WITH_BIND).bind(1_i64).bind(2_i64);
    if let Err(error) = query.fetch_one(&*db).await {
        assert_of_the_program(error);
    }
    assert_kept(&db, 0).await;
}
