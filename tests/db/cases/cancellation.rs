//! A scope is dropped while its query runs on the server.

use std::sync::Arc;

use sqlx::Executor;
use tokio::sync::Notify;
use tokio::time::timeout;
use txn::{Cancel, Db, Error, Tx, transactional};

use super::*;
use crate::support::drop_points::poll_at_most;
use crate::support::observer::PATIENCE;
use crate::support::warnings::Warnings;

#[transactional]
async fn write_and_dawdle(tx: &mut Tx<DB>, id: i64, sends: &Notify) -> Result<(), Error> {
    insert(tx, id).await?;
    sends.notify_one();
    tx.execute(DB::SLOW_QUERY).await?;
    Ok(())
}

/// Drops a future whose query is in flight, when the database has answered somebody else.
async fn drop_in_flight<F: Future>(db: &Db<DB>, scope: impl FnOnce(Arc<Notify>) -> F) {
    let sends = Arc::new(Notify::new());
    let moment = async {
        sends.notified().await;
        db.check().await.unwrap();
    };
    tokio::select! {
        biased;
        _ = scope(Arc::clone(&sends)) => panic!("the slow query ended before it was dropped"),
        () = moment => {}
    }
}

/// Drops one statement alone, which is sent with the first poll.
async fn drop_statement_in_flight(db: &Db<DB>, tx: &mut Tx<DB>) {
    drop_in_flight(db, |sends| {
        sends.notify_one();
        tx.execute(DB::SLOW_QUERY)
    })
    .await;
}

#[tokio::test]
async fn a_dropped_scope_frees_its_locks_while_its_query_would_still_run() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(2)).await;
    for round in 0..3 {
        drop_in_flight(&db, async |sends| write_and_dawdle(&*db, 1, &sends).await).await;
        // The insert waits for the lock on the key that the dropped scope had inserted.
        let mut tx = db.begin().await.unwrap();
        let free = timeout(PATIENCE, insert(&mut tx, 1)).await;
        free.unwrap_or_else(|_| panic!("round {round}: locked for ever")).unwrap();
        tx.rollback().await.unwrap();
        db.assert_at_rest().await;
    }
    assert!(db.ids().await.is_empty());
}

/// The session itself comes back where the driver survives the drop.
#[tokio::test]
async fn a_session_that_was_settled_is_used_again() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    drop_in_flight(&db, async |sends| write_and_dawdle(&*db, 1, &sends).await).await;
    timeout(PATIENCE, db.settled()).await.expect("settled");
    assert_eq!(db.status().idle, usize::from(!DB::ENDS_BY_ITSELF));
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[tokio::test]
async fn after_a_dropped_statement_the_next_is_refused_with_that_cause() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_statement_in_flight(&db, &mut tx).await;
    for _ in 0..2 {
        let error = Error::from(insert(&mut tx, 2).await.unwrap_err());
        assert!(error.is_aborted(), "{error}");
        assert!(error.to_string().contains("dropped before it had finished"), "{error}");
    }
    assert!(tx.commit().await.unwrap_err().is_aborted());
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[transactional(nested)]
async fn nested_dawdle(tx: &mut Tx<DB>, sends: &Notify) -> Result<(), Error> {
    insert(tx, 2).await?;
    sends.notify_one();
    tx.execute(DB::SLOW_QUERY).await?;
    Ok(())
}

/// A nested scope dropped while its query runs is undone, and the outer goes on; on MySQL the
/// session is lost.
#[tokio::test]
async fn a_nested_scope_dropped_in_a_query_is_undone_at_once() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_in_flight(&db, async |sends| nested_dawdle(&mut tx, &sends).await).await;
    let next = timeout(PATIENCE, insert(&mut tx, 3)).await;
    let next = next.expect("the query is over");
    if DB::ENDS_BY_ITSELF {
        assert!(Error::from(next.unwrap_err()).is_aborted());
        assert!(tx.commit().await.unwrap_err().is_aborted());
        assert!(db.ids().await.is_empty());
    } else {
        next.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(db.ids().await, [1, 3]);
    }
    db.assert_at_rest().await;
}

#[transactional(nested)]
async fn nested_drops(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 2).await?;
    assert!(poll_at_most(1, tx.execute(DB::SLOW_QUERY)).await.is_none());
    Ok(insert(tx, 3).await?)
}

/// If the drop took the transaction along, there is nothing that could be undone, nor fail to be.
#[tokio::test]
async fn a_nested_scope_that_has_dropped_a_statement_fails_without_a_warning() {
    let db = Fixture::<DB>::new().await;
    let warnings = Warnings::listen();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let nested = timeout(PATIENCE, nested_drops(&mut tx)).await.expect("the query is over");
    assert!(nested.unwrap_err().is_aborted());
    assert_eq!(insert(&mut tx, 4).await.is_ok(), !DB::ENDS_BY_ITSELF);
    tx.rollback().await.unwrap();
    db.assert_at_rest().await;
    assert_eq!(warnings.all(), [""; 0]);
}

#[transactional(nested)]
async fn nested_write(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

/// This scope stays open after the SAVEPOINT of another in it was dropped.
#[transactional(nested)]
async fn nested_drops_a_savepoint(tx: &mut Tx<DB>, dropped: &Notify) -> Result<(), Error> {
    poll_at_most(1, nested_write(tx, 2)).await;
    dropped.notify_one();
    std::future::pending().await
}

/// A scope that is dropped with its SAVEPOINT in flight has done nothing; a scope that is dropped
/// later has.
#[tokio::test]
async fn a_statement_dropped_after_a_savepoint_was_fails_the_transaction_all_the_same() {
    for inside in [false, true] {
        let db = Fixture::<DB>::new().await;
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        if inside {
            let dropped = Notify::new();
            tokio::select! {
                ended = nested_drops_a_savepoint(&mut tx, &dropped) => ended.unwrap(),
                () = dropped.notified() => {}
            }
        } else {
            poll_at_most(1, nested_write(&mut tx, 2)).await;
        }
        let went_on = insert(&mut tx, 3).await;
        assert!(went_on.is_ok() || DB::ENDS_BY_ITSELF, "{went_on:?}");
        // If the database answers at once, another is dropped.
        let mut id = 4;
        while let Some(Ok(())) = poll_at_most(1, insert(&mut tx, id)).await {
            id += 1;
        }
        let refused = Error::from(insert(&mut tx, 2).await.unwrap_err());
        assert!(refused.is_aborted(), "{refused}");
        assert!(tx.commit().await.unwrap_err().is_aborted());
        assert!(db.ids().await.is_empty());
        db.assert_at_rest().await;
    }
}

/// Behind a pooler a cancel could hit somebody else's query.
#[tokio::test]
async fn with_the_policy_to_close_a_dropped_operation_costs_its_session() {
    let db = Fixture::<DB>::with(|builder| builder.cancel(Cancel::Close)).await;
    let mut tx = db.begin().await.unwrap();
    let open = db.status().open;
    drop_statement_in_flight(&db, &mut tx).await;
    drop(tx);
    db.settled().await;
    assert_eq!(db.status().open, open - 1);
    db.assert_at_rest().await;
}
