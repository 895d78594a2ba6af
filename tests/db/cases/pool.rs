//! Sessions go to those who wait for one, in turn, and there are never too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use txn::{Db, Tx, transactional};

use super::{DB, Fixture, insert, number};
use crate::support::dialect::Dialect;
use crate::support::drop_points::{is_pending, poll_at_most};

/// A time that no test waits for.
const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn status_counts_sessions_held_idle_and_waited_for() {
    let db = Fixture::<DB>::of_sessions(2).await;
    assert_eq!(db.status().max, 2);
    db.assert_sessions(1, 1, 0, 0);
    let first = db.session().await.unwrap();
    db.assert_sessions(1, 0, 1, 0);
    let second = db.session().await.unwrap();
    db.assert_sessions(2, 0, 2, 0);
    let mut third = Box::pin(db.session());
    assert!(is_pending(&mut third).await);
    db.assert_sessions(2, 0, 2, 1);
    drop(first);
    let third = third.await.unwrap();
    db.assert_sessions(2, 0, 2, 0);
    drop((second, third));
    db.assert_sessions(2, 2, 0, 0);
}

#[tokio::test]
async fn a_waiter_that_is_dropped_leaves_the_queue() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let held = db.begin().await.unwrap();
    let (mut first, mut second) = (Box::pin(db.begin()), Box::pin(db.begin()));
    assert!(is_pending(&mut first).await && is_pending(&mut second).await);
    assert_eq!(db.status().waiting, 2);
    drop(first);
    assert_eq!(db.status().waiting, 1);
    held.rollback().await.unwrap();
    second.await.unwrap().rollback().await.unwrap();
    db.assert_at_rest().await;
}

/// A session just handed over goes to the next waiter.
#[tokio::test]
async fn a_waiter_that_is_dropped_with_a_session_in_its_hands_passes_it_on() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let held = db.begin().await.unwrap();
    let (mut first, mut second) = (Box::pin(db.begin()), Box::pin(db.begin()));
    assert!(is_pending(&mut first).await && is_pending(&mut second).await);
    held.rollback().await.unwrap();
    drop(first);
    second.await.unwrap().rollback().await.unwrap();
    db.assert_at_rest().await;
}

/// A waker whose drop uses the handle, as the drop of a task may.
struct Asks(Db<DB>);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Asks {
    fn drop(&mut self) {
        assert_eq!(self.0.status().in_use, 1);
    }
}

#[tokio::test]
async fn the_drop_of_a_waker_may_use_the_handle() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let held = db.session().await.unwrap();
    let mut waiting = Box::pin(db.session());
    for _ in 0..2 {
        let waker = Waker::from(Arc::new(Asks(Db::clone(&db))));
        let polled = waiting.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    drop(waiting);
    db.assert_sessions(1, 0, 1, 0);
    drop(held);
    db.assert_at_rest().await;
}

#[transactional]
async fn counted(tx: &mut Tx<DB>, id: i64, inside: &AtomicUsize) -> Result<usize, txn::Error> {
    let others = inside.fetch_add(1, Ordering::SeqCst);
    let open = tx.db().status().open;
    let written = insert(tx, id).await;
    inside.fetch_sub(1, Ordering::SeqCst);
    written?;
    Ok(open.max(others + 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_never_more_sessions_than_allowed() {
    let db = Fixture::<DB>::of_sessions(3).await;
    let inside = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for id in 0..60 {
        let (db, inside) = (Db::clone(&db), Arc::clone(&inside));
        callers.spawn(async move {
            // A third of the callers give up somewhere on the way.
            match id % 3 {
                0 => poll_at_most(2 + id % 5, db.begin()).await.map_or(0, |_| 1),
                _ => counted(&db, id.try_into().unwrap(), &inside).await.unwrap(),
            }
        });
    }
    let most = callers.join_all().await.into_iter().max();
    assert!(most <= Some(3), "{most:?}");
    assert_eq!(db.ids().await.len(), 40);
    db.assert_at_rest().await;
}

/// If there is more than one writer, all of them have written before the first one reads.
#[transactional]
async fn sees_its_own(tx: &mut Tx<DB>, id: i64, all_written: &Barrier) -> Result<i64, txn::Error> {
    insert(tx, id).await?;
    if DB::CONCURRENT_WRITERS {
        all_written.wait().await;
    }
    let uncommitted = number(tx, "SELECT COUNT(*) FROM t WHERE n = 0").await?;
    tx.execute(AssertSqlSafe(format!("UPDATE t SET n = 1 WHERE id = {id}")))
        .await?;
    Ok(uncommitted)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_scopes_each_sees_only_its_own_writes_until_they_are_committed() {
    let db = Fixture::<DB>::of_sessions(8).await;
    let all_written = Arc::new(Barrier::new(8));
    let mut callers = JoinSet::new();
    for id in 0..8 {
        let (db, all_written) = (Db::clone(&db), Arc::clone(&all_written));
        callers.spawn(async move { sees_its_own(&db, id, &all_written).await });
    }
    for uncommitted in callers.join_all().await {
        assert_eq!(uncommitted.unwrap(), 1);
    }
    assert_eq!(db.ids().await.len(), 8);
}

#[transactional]
async fn outer(tx: &mut Tx<DB>, id: i64) -> Result<(), txn::Error> {
    joined(tx, 10 * id).await?;
    nested(tx, 10 * id + 1, id % 2 == 0).await.ok();
    nested(tx, 10 * id + 2, true).await
}

#[transactional]
async fn joined(tx: &mut Tx<DB>, id: i64) -> Result<(), txn::Error> {
    Ok(insert(tx, id).await?)
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, id: i64, keep: bool) -> Result<(), txn::Error> {
    joined(tx, id).await?;
    match keep {
        true => Ok(()),
        false => Err(sqlx::Error::RowNotFound.into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_sessions_all_finish_also_with_scopes_inside() {
    const POOL: usize = 4;
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(POOL).acquire_timeout(NEVER)).await;
    let mut callers = JoinSet::new();
    for id in 0..=2 * POOL {
        let db = Db::clone(&db);
        callers.spawn(async move { outer(&db, id.try_into().unwrap()).await });
    }
    for called in callers.join_all().await {
        called.unwrap();
    }
    let even = POOL + 1;
    assert_eq!(db.ids().await.len(), (2 * POOL + 1) * 2 + even);
    db.assert_at_rest().await;
}
