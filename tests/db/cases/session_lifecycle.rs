//! A session is given back, replaced, leaked into, and closed.

use std::pin::pin;
use std::time::Duration;

use sqlx::Executor;
use txn::{Db, Session, Tx, transactional};

use super::{DB, Fixture, insert};
use crate::support::drop_points::is_pending;
use crate::support::warnings::Warnings;

#[transactional]
async fn writes(tx: &mut Tx<DB>, id: i64) -> Result<(), txn::Error> {
    Ok(insert(tx, id).await?)
}

#[tokio::test]
async fn a_transaction_leaked_through_the_raw_connection_is_rolled_back_with_a_warning() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let warnings = Warnings::listen();
    let mut session = db.session().await.unwrap();
    session.connection().execute("BEGIN").await.unwrap();
    session
        .execute("INSERT INTO t (id, n) VALUES (1, 0)")
        .await
        .unwrap();
    drop(session);

    db.settled().await;

    assert_eq!(
        warnings.with("was left open: rolled back"),
        1,
        "{:?}",
        warnings.all()
    );
    assert!(db.ids().await.is_empty());
    db.assert_sessions(1, 1, 0, 0);
}

#[tokio::test]
async fn a_raw_connection_left_as_it_was_costs_no_warning_and_no_session() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let warnings = Warnings::listen();
    let mut session = db.session().await.unwrap();
    mark(&mut session).await;
    session.connection().execute("SELECT 1").await.unwrap();
    drop(session);
    db.settled().await;
    assert!(is_marked(&mut db.session().await.unwrap()).await);
    assert_eq!(warnings.all(), [""; 0]);
}

/// Marks the session by a table that only it has.
async fn mark(session: &mut Session<DB>) {
    session
        .execute("CREATE TEMPORARY TABLE mark (n BIGINT)")
        .await
        .unwrap();
}

async fn is_marked(session: &mut Session<DB>) -> bool {
    session.fetch_all("SELECT n FROM mark").await.is_ok()
}

#[tokio::test]
async fn a_session_keeps_its_connection_and_the_pool_keeps_the_session() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut session = db.session().await.unwrap();
    mark(&mut session).await;
    assert!(is_marked(&mut session).await);
    drop(session);
    assert!(is_marked(&mut db.session().await.unwrap()).await);
}

#[tokio::test]
async fn a_session_idle_for_too_long_is_replaced() {
    let db = Fixture::<DB>::with(|builder| builder.idle_timeout(Duration::ZERO)).await;
    mark(&mut db.session().await.unwrap()).await;
    assert!(!is_marked(&mut db.session().await.unwrap()).await);
    db.assert_sessions(1, 1, 0, 0);
}

#[tokio::test]
async fn a_session_that_is_too_old_is_replaced() {
    let db = Fixture::<DB>::with(|builder| builder.max_lifetime(Duration::ZERO)).await;
    mark(&mut db.session().await.unwrap()).await;
    assert!(!is_marked(&mut db.session().await.unwrap()).await);
    db.assert_sessions(1, 1, 0, 0);
}

#[tokio::test]
async fn close_waits_for_open_scopes_and_refuses_new_ones() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let mut open = db.begin().await.unwrap();
    let idle = db.session().await.unwrap();
    drop(idle);
    let mut close = pin!(db.close());
    assert!(is_pending(&mut close).await);
    assert!(db.is_closed());

    let error = writes(&*db, 2).await.unwrap_err();
    assert!(error.is_closed(), "{error}");
    insert(&mut open, 1).await.unwrap();
    assert!(is_pending(&mut close).await);
    open.commit().await.unwrap();
    close.await;

    db.assert_sessions(0, 0, 0, 0);
    let after = Db::<DB>::connect(db.url()).await.unwrap();
    assert_eq!(after.fetch_all("SELECT id FROM t").await.unwrap().len(), 1);
}

#[tokio::test]
async fn callers_that_wait_for_a_session_are_told_that_the_handle_was_closed() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let open = db.begin().await.unwrap();
    let (mut waiting, mut autocommit) = (Box::pin(db.begin()), Box::pin(db.session()));
    assert!(is_pending(&mut waiting).await && is_pending(&mut autocommit).await);
    let mut close = pin!(db.close());
    assert!(is_pending(&mut close).await);
    assert!(waiting.await.unwrap_err().is_closed());
    assert!(autocommit.await.unwrap_err().is_closed());
    assert_eq!(db.status().waiting, 0);
    drop(open);
    close.await;
    db.assert_sessions(0, 0, 0, 0);
}
