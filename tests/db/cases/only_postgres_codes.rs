//! A function raises codes that tell of a lost connection, over a connection that lives on.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Executor};
use txn::{Db, Error, Postgres, Tx, transactional};

use super::{Fixture, insert, number};
use crate::support::server_engine::{ServerEngine, until_gone};

/// Raises the code as dblink and foreign-data wrappers do.
fn raise(code: &str) -> String {
    format!("DO $$ BEGIN RAISE 'from elsewhere' USING ERRCODE = '{code}'; END $$")
}

#[transactional(retry = 5)]
async fn runs(tx: &mut Tx<Postgres>, sql: String, ran: &AtomicU32) -> Result<(), Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    tx.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

#[tokio::test]
async fn an_error_of_class_08_over_a_living_link_is_a_plain_failure() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    for code in ["08000", "08001", "08003", "08004", "08006", "08P01"] {
        let ran = AtomicU32::new(0);
        let error = runs(&*db, raise(code), &ran).await.unwrap_err();
        assert_eq!(error.code().as_deref(), Some(code), "{error}");
        assert!(!error.is_connection() && !error.is_retryable(), "{error}");
        assert_eq!(ran.into_inner(), 1);
        db.execute(AssertSqlSafe(raise(code))).await.unwrap_err();
    }
    db.assert_at_rest().await;
    let status = db.status();
    assert_eq!((status.open, status.idle), (1, 1), "{status:?}");
}

/// Sets up a code to be raised when the transaction of an insert commits.
async fn raising_at_commit(db: &Db<Postgres>, code: &str) {
    let body = format!("BEGIN RAISE 'at the commit' USING ERRCODE = '{code}'; END");
    let function = format!(
        "CREATE OR REPLACE FUNCTION raising() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
    );
    db.execute(AssertSqlSafe(function)).await.unwrap();
    let trigger = "CREATE CONSTRAINT TRIGGER raises AFTER INSERT ON t \
                   DEFERRABLE INITIALLY DEFERRED \
                   FOR EACH ROW EXECUTE FUNCTION raising()";
    db.execute("DROP TRIGGER IF EXISTS raises ON t").await.unwrap();
    db.execute(trigger).await.unwrap();
}

#[transactional(retry = 5)]
async fn inserts(tx: &mut Tx<Postgres>, ran: &AtomicU32) -> Result<(), Error> {
    let ran = ran.fetch_add(1, Ordering::Relaxed);
    Ok(insert(tx, ran.into()).await?)
}

#[tokio::test]
async fn an_error_of_class_08_at_the_commit_is_a_plain_failure() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    for code in ["08001", "08006", "08P01"] {
        raising_at_commit(&db, code).await;
        let ran = AtomicU32::new(0);
        let error = inserts(&*db, &ran).await.unwrap_err();
        assert_eq!(error.code().as_deref(), Some(code), "{error}");
        assert!(!error.is_commit_unknown() && !error.is_connection(), "{error}");
        assert_eq!(ran.into_inner(), 1);
        assert!(db.ids().await.is_empty());
    }
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_server_that_does_not_know_what_became_of_a_commit_is_believed() {
    for verify in [false, true] {
        let db =
            Fixture::<Postgres>::with(|builder| builder.max_sessions(1).verify_commits(verify))
                .await;
        for code in ["40003", "08007"] {
            raising_at_commit(&db, code).await;
            let ran = AtomicU32::new(0);
            let error = inserts(&*db, &ran).await.unwrap_err();
            assert_eq!(error.code().as_deref(), Some(code), "{error}");
            // A server that can be asked says that the transaction was not committed.
            assert_eq!(error.is_commit_unknown(), !verify, "{error}");
            assert!(!error.is_retryable() && !error.is_connection(), "{error}");
            assert_eq!(ran.into_inner(), 1, "{code}");
        }
        db.assert_at_rest().await;
        let status = db.status();
        assert_eq!((status.open, status.idle), (1, 1), "{status:?}");
    }
}

/// Such codes say nothing of the transaction elsewhere than at a COMMIT.
#[tokio::test]
async fn a_statement_that_may_have_been_completed_is_a_failed_statement() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    for code in ["40003", "08007"] {
        let ran = AtomicU32::new(0);
        let error = runs(&*db, raise(code), &ran).await.unwrap_err();
        assert!(!error.is_commit_unknown() && !error.is_retryable(), "{error}");
        assert_eq!(ran.into_inner(), 1);
    }
}

/// The transaction never was to be committed.
#[tokio::test]
async fn what_a_sandbox_would_commit_is_known() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    raising_at_commit(&db, "40003").await;
    let sandbox = db.sandbox().await.unwrap();
    let ran = AtomicU32::new(0);
    let error = inserts(&sandbox, &ran).await.unwrap_err();
    assert!(!error.is_commit_unknown() && !error.is_retryable(), "{error}");
    assert_eq!(ran.into_inner(), 1);
}

/// The driver loses its place, and the session goes; but to run the scope again would be no use.
#[tokio::test]
async fn a_copy_that_is_run_as_a_statement_is_an_error_of_the_program() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    for copy in ["COPY t FROM STDIN", "COPY t TO STDOUT"] {
        let ran = AtomicU32::new(0);
        let error = runs(&*db, copy.to_owned(), &ran).await.unwrap_err();
        assert!(!error.is_connection() && !error.is_retryable(), "{error}");
        assert_eq!(ran.into_inner(), 1, "{copy}");
        db.assert_at_rest().await;
        assert!(db.ids().await.is_empty(), "served by a new session");
    }
}

#[transactional(retry = 3)]
async fn idles(tx: &mut Tx<Postgres>, other: &Db<Postgres>, ran: &AtomicU32) -> Result<(), Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    let session = number(tx, Postgres::BACKEND).await?;
    // This comes last, so that the session is idle for certain when its time is over.
    tx.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'").await?;
    until_gone(other, session).await;
    Ok(insert(tx, 5).await?)
}

/// The scope would be as slow the next time. The connection is over TCP, where the server's last
/// words can be read however long ago it hung up; on a unix socket whoever writes first loses them,
/// and meets a lost connection.
#[tokio::test]
async fn a_body_that_is_too_slow_for_the_server_is_not_run_again() {
    let server = Postgres::server().tcp(true).start().unwrap();
    let other = Db::<Postgres>::connect(&server.url()).await.unwrap();
    other.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)").await.unwrap();
    let db = Db::<Postgres>::connect(&server.tcp_url()).await.unwrap();
    let ran = AtomicU32::new(0);
    let error = idles(&db, &other, &ran).await.unwrap_err();
    assert_eq!(ran.into_inner(), 1, "{error}");
    assert_eq!(error.code().as_deref(), Some("25P03"), "{error}");
    assert!(error.is_connection() && !error.is_retryable(), "{error}");
    db.settled().await;
    assert_eq!(db.status().in_use, 0);
}
