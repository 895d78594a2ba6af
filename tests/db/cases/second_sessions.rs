//! Callers hold a session and need another.

use std::time::Duration;

use tokio::sync::Barrier;
use txn::{Error, Tx, transactional};

use super::{DB, Fixture, insert};
use crate::support::drop_points::is_pending;

#[transactional(requires_new, name = "audit")]
async fn audit(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

/// This scope waits until all callers hold their first session, and goes on without its audit if
/// there is no session for it.
#[transactional(name = "transfer")]
async fn transfer(tx: &mut Tx<DB>, id: i64, all: &Barrier) -> Result<Option<Error>, Error> {
    insert(tx, id).await?;
    all.wait().await;
    Ok(audit(tx, 100 + id).await.err())
}

#[tokio::test]
async fn of_holders_that_all_wait_for_a_second_session_the_youngest_fails_at_once() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(3)).await;
    let all = Barrier::new(3);
    let results = tokio::join!(
        transfer(&*db, 1, &all),
        transfer(&*db, 2, &all),
        transfer(&*db, 3, &all)
    );
    let refused: Vec<Error> = [results.0, results.1, results.2]
        .into_iter()
        .filter_map(|result| result.unwrap())
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    let error = &refused[0];
    assert!(error.is_acquire_timeout(), "{error}");
    let text = error.to_string();
    for part in ["all 3", "`audit`", "`reserve`"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("no session within"), "that was a timeout: {text}");
    assert_eq!(db.ids().await.len(), 5);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn in_a_pool_of_one_a_second_session_is_refused_at_once() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    let refused = transfer(&*db, 1, &Barrier::new(1)).await.unwrap();
    let error = refused.unwrap();
    assert!(error.is_acquire_timeout(), "{error}");
    assert!(!error.to_string().contains("no session within"), "that was a timeout: {error}");
    assert_eq!(db.ids().await, [1]);
}

#[transactional(requires_new, name = "deeper")]
async fn deeper(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    audit(tx, id).await?;
    Ok(insert(tx, id + 1).await?)
}

/// Each level holds a session.
#[tokio::test]
async fn second_sessions_inside_each_other_count_each() {
    for (max, fits) in [(2, false), (3, true)] {
        let db = Fixture::<DB>::with(|builder| builder.max_sessions(max)).await;
        let mut tx = db.begin().await.unwrap();
        assert_eq!(deeper(&mut tx, 1).await.is_ok(), fits, "{max}");
        tx.rollback().await.unwrap();
        db.assert_at_rest().await;
    }
}

#[tokio::test]
async fn with_a_reserve_all_callers_finish() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(3).reserve(1)).await;
    let alone = Barrier::new(1);
    let callers = (0..7).map(|id| transfer(&*db, id, &alone));
    let results = futures_util::future::join_all(callers).await;
    for result in results {
        assert!(result.unwrap().is_none());
    }
    assert_eq!(db.ids().await.len(), 14);
    db.assert_at_rest().await;
}

/// The work of the holder would be lost, and its session stays taken until it goes on.
#[tokio::test]
async fn under_overload_who_holds_a_session_is_not_refused_another() {
    let tiny = Duration::from_millis(1);
    let configure = |builder: txn::DbBuilder<DB>| {
        let builder = builder.max_sessions(3).max_waiting(1);
        builder.queue_target(tiny).queue_interval(tiny)
    };
    let db = Fixture::<DB>::with(configure).await;
    let others = (db.session().await.unwrap(), db.session().await.unwrap());
    let alone = Barrier::new(1);
    let mut both = Box::pin(transfer(&*db, 1, &alone));
    while db.status().waiting == 0 {
        assert!(is_pending(&mut both).await);
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        let error = db.begin().await.unwrap_err();
        assert!(error.is_overloaded(), "{error}");
        assert!(is_pending(&mut both).await);
    }
    drop(others);
    assert!(both.await.unwrap().is_none());
    assert_eq!(db.ids().await, [1, 101]);
}
