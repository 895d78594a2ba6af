//! What a drop does while a query runs on the server.

use std::time::{Duration, Instant};

use sqlx::Executor;
use txn::{Cancel, Error, Tx, transactional};

use super::*;

/// Far less than [`TestEngine::SLOW_QUERY`] takes if it is let, far more than a cancel does.
const SOON: Duration = Duration::from_secs(8);

#[transactional]
async fn write_and_dawdle(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    tx.execute(DB::SLOW_QUERY).await?;
    Ok(())
}

/// Drops a future when it has been in flight for a moment: long enough for the query to run.
async fn drop_in_flight<F: Future>(future: F) {
    let moment = tokio::time::timeout(Duration::from_millis(100), future);
    assert!(moment.await.is_err(), "the slow query ended before it was dropped");
}

/// CASES 52
#[tokio::test]
async fn a_dropped_scope_frees_its_locks_while_its_query_would_still_run() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(2)).await;
    for round in 0..3 {
        let begun = Instant::now();
        drop_in_flight(write_and_dawdle(&*db, 1)).await;
        // Waits for the lock on the key that the dropped scope had inserted.
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(begun.elapsed() < SOON, "round {round}: {:?}", begun.elapsed());
        db.assert_at_rest().await;
    }
    assert!(db.ids().await.is_empty());
}

/// CASES 52: the session itself comes back where the driver survives the drop.
#[tokio::test]
async fn a_session_that_was_settled_is_used_again() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    let begun = Instant::now();
    drop_in_flight(write_and_dawdle(&*db, 1)).await;
    db.settled().await;
    assert_eq!(db.status().idle, usize::from(!DB::ENDS_BY_ITSELF));
    assert!(db.ids().await.is_empty());
    assert!(begun.elapsed() < SOON);
    db.assert_at_rest().await;
}

/// CASES 55
#[tokio::test]
async fn after_a_dropped_statement_the_next_is_refused_with_that_cause() {
    let db = Fixture::<DB>::new().await;
    let begun = Instant::now();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_in_flight((&mut tx).execute(DB::SLOW_QUERY)).await;
    for _ in 0..2 {
        let error = Error::from(insert(&mut tx, 2).await.unwrap_err());
        assert!(error.is_aborted(), "{error}");
        assert!(error.to_string().contains("dropped before it had finished"), "{error}");
    }
    assert!(tx.commit().await.unwrap_err().is_aborted());
    assert!(begun.elapsed() < SOON);
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[transactional(nested)]
async fn nested_dawdle(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 2).await?;
    tx.execute(DB::SLOW_QUERY).await?;
    Ok(())
}

/// A nested scope dropped while its query runs is undone, and the outer goes on; on MySQL the session is lost.
#[tokio::test]
async fn a_nested_scope_dropped_in_a_query_is_undone_at_once() {
    let db = Fixture::<DB>::new().await;
    let begun = Instant::now();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_in_flight(nested_dawdle(&mut tx)).await;
    let next = insert(&mut tx, 3).await;
    if DB::ENDS_BY_ITSELF {
        assert!(Error::from(next.unwrap_err()).is_aborted());
        assert!(tx.commit().await.unwrap_err().is_aborted());
        assert!(db.ids().await.is_empty());
    } else {
        next.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(db.ids().await, [1, 3]);
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    db.assert_at_rest().await;
}

/// Behind a pooler a cancel could hit somebody else's query.
#[tokio::test]
async fn with_the_policy_to_close_a_dropped_operation_costs_its_session() {
    let db = Fixture::<DB>::with(|builder| builder.cancel(Cancel::Close)).await;
    let mut tx = db.begin().await.unwrap();
    let open = db.status().open;
    drop_in_flight((&mut tx).execute(DB::SLOW_QUERY)).await;
    drop(tx);
    db.settled().await;
    assert_eq!(db.status().open, open - 1);
    db.assert_at_rest().await;
}
