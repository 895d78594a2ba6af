//! Scopes are cancelled over and over, at every moment of their life.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::Executor;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, yield_now};
use txn::{Db, Error, Tx, transactional};

use super::{DB, insert, number};
use crate::support::drop_points::{at_every_point, poll_at_most};
use crate::support::drop_trial::{Marks, Trial};
use crate::support::observer::Observed;

mod random_trees;

#[transactional]
async fn write(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

/// This scope always asks for one more poll.
#[transactional]
async fn write_and_stay(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    loop {
        yield_now().await;
    }
}

#[transactional]
async fn write_and_tell(
    tx: &mut Tx<DB>,
    id: i64,
    inside: mpsc::UnboundedSender<i64>,
) -> Result<(), Error> {
    insert(tx, id).await?;
    inside.send(id).unwrap();
    pending().await
}

#[tokio::test]
async fn cancel_right_after_creation() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    for id in 0..1_000 {
        drop(write(&*trial, id));
        poll_at_most(1, Box::pin(write_and_stay(&*trial, id))).await;
        trial.settled().await;
        // Connections that are given up would pile up at the server.
        drop(trial.session().await.unwrap());
        let task = tokio::spawn({
            let db = Db::clone(&trial);
            async move { write(&db, id).await }
        });
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    trial.assert_recovered("cancelled right away").await;
    assert!(trial.ids().await.is_empty());
}

/// The COMMIT was sent with the first poll: it is finished, whatever becomes of the caller.
#[tokio::test]
async fn cancel_during_commit() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    let mut expected = Vec::new();
    for round in 0..20 {
        at_every_point(async |point| {
            let id = expected.len().try_into().unwrap();
            let mut tx = trial.begin().await.unwrap();
            insert(&mut tx, id).await.unwrap();
            let ended = Box::pin(trial.drop_at(point, tx.commit())).await;
            if point.polls > 0 {
                expected.push(id);
            }
            trial.settled().await;
            assert_eq!(trial.ids().await, expected, "{round} {point:?}");
            ended.is_some()
        })
        .await;
    }
    trial.assert_recovered("cancelled during commit").await;
}

#[tokio::test]
async fn cancel_during_rollback() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    for _ in 0..20 {
        at_every_point(async |point| {
            let mut tx = trial.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            let ended = trial.drop_at(point, tx.rollback()).await;
            trial.settled().await;
            // The key is free again.
            write(&*trial, 1).await.unwrap();
            trial.clear().await;
            ended.is_some()
        })
        .await;
    }
    trial.assert_recovered("cancelled during rollback").await;
}

#[transactional]
async fn first(tx: &mut Tx<DB>, marks: &Marks, depth: oneshot::Sender<()>) -> Result<(), Error> {
    insert(tx, 1).await?;
    let log = marks.clone();
    tx.after_rollback(move |_| async move { log.note("first") });
    second(tx, marks, depth).await
}

#[transactional]
async fn second(tx: &mut Tx<DB>, marks: &Marks, depth: oneshot::Sender<()>) -> Result<(), Error> {
    insert(tx, 2).await?;
    let log = marks.clone();
    tx.after_rollback(move |_| async move { log.note("second") });
    third(tx, marks, depth).await
}

#[transactional(nested)]
async fn third(tx: &mut Tx<DB>, marks: &Marks, depth: oneshot::Sender<()>) -> Result<(), Error> {
    insert(tx, 3).await?;
    let log = marks.clone();
    tx.after_rollback(move |_| async move { log.note("third") });
    let _guard = Guard(marks);
    depth.send(()).unwrap();
    pending().await
}

/// A guard of the body's own.
struct Guard<'a>(&'a Marks);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.note("guard");
    }
}

/// Each scope inside is dropped with it, and the body's own guards and every hook run once.
#[tokio::test]
async fn cancel_cascading_through_dependent_scopes() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    for _ in 0..20 {
        let marks = Marks::default();
        let (depth, is_deep) = oneshot::channel();
        tokio::select! {
            _ = Box::pin(first(&*trial, &marks, depth)) => panic!("it does not end by itself"),
            deep = is_deep => deep.unwrap(),
        }
        assert_eq!(marks.notes(), ["guard"]);
        trial.assert_recovered("cascaded").await;
        let mut notes = marks.notes();
        notes.sort_unstable();
        assert_eq!(notes, ["first", "guard", "second", "third"]);
        assert!(trial.ids().await.is_empty());
    }
}

#[tokio::test]
async fn thirty_cancelled_scopes_leave_no_session_in_a_transaction() {
    let mut trial = Trial::<DB>::of_sessions(3).await;
    for id in 0..30 {
        let (inside, mut told) = mpsc::unbounded_channel();
        let db = Db::clone(&trial);
        let task = tokio::spawn(async move { write_and_tell(&db, id, inside).await });
        assert_eq!(told.recv().await, Some(id));
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        trial.assert_recovered(id).await;
    }
    assert!(trial.ids().await.is_empty());
}

/// The server never has more sessions than the pool may open, and one to cancel with.
#[tokio::test]
async fn resources_under_cancellation() {
    const SESSIONS: usize = 3;
    let mut trial = Trial::<DB>::of_sessions(SESSIONS).await;
    let most = Arc::new(AtomicUsize::new(0));
    for round in 0..40 {
        let mut tasks = JoinSet::new();
        for n in 0..9 {
            let db = Db::clone(&trial);
            let most = Arc::clone(&most);
            tasks.spawn(async move {
                let scope = Box::pin(write_and_stay(&db, n));
                poll_at_most(usize::try_from(n).unwrap() + round % 5, scope).await;
                most.fetch_max(db.status().open, Ordering::Relaxed);
            });
        }
        tasks.join_all().await;
    }
    assert!(most.load(Ordering::Relaxed) <= SESSIONS);
    trial.assert_recovered("many cancelled at once").await;
    trial.close().await;
    assert_eq!(trial.status().open, 0);
    trial.until_disconnected().await;
}

/// The session is the same before and after, where the connection survives.
#[tokio::test]
async fn session_reuse_after_cancellation() {
    let mut trial = Trial::<DB>::of_sessions(1).await;
    let mut session = trial.session().await.unwrap();
    let mark = "CREATE TEMPORARY TABLE mark (n BIGINT)";
    session.execute(mark).await.unwrap();
    drop(session);
    for polls in 1..12 {
        let scope = Box::pin(write_and_stay(&*trial, 1));
        assert!(poll_at_most(polls, scope).await.is_none());
        trial.settled().await;
        write(&*trial, 2).await.unwrap();
        trial.clear().await;
    }
    let marked = trial.fetch_all("SELECT n FROM mark").await.is_ok();
    assert!(marked || DB::DROP_COSTS_SESSION);
    trial.assert_recovered("reused").await;
}

/// Some scopes of a batch are cancelled. The others are not the worse for it, and the cancelled
/// ones can be run again.
#[tokio::test]
async fn partial_cancellation_and_recovery() {
    const BATCH: i64 = 30;
    let mut trial = Trial::<DB>::of_sessions(3).await;
    let mut missing: Vec<i64> = (0..BATCH).collect();
    for attempt in 0.. {
        assert!(attempt < 20, "{missing:?}");
        let mut tasks = JoinSet::new();
        for id in missing {
            let db = Db::clone(&trial);
            let polls = match (id + attempt) % 3 {
                0 => usize::MAX,
                _ => usize::try_from(id % 7).unwrap(),
            };
            tasks.spawn(async move {
                let scope = Box::pin(write(&db, id));
                poll_at_most(polls, scope).await.transpose().unwrap();
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        trial.assert_recovered(attempt).await;
        let written = trial.ids().await;
        missing = (0..BATCH).filter(|id| !written.contains(id)).collect();
        if missing.is_empty() {
            break;
        }
    }
    assert_eq!(trial.ids().await.len(), 30);
}

#[transactional(nested)]
async fn nested_stays(tx: &mut Tx<DB>, inside: oneshot::Sender<()>) -> Result<(), Error> {
    insert(tx, 2).await?;
    inside.send(()).unwrap();
    pending().await
}

/// The nested scope is dropped at a signal, and not after a time.
#[tokio::test]
async fn the_outer_scope_goes_on_after_a_nested_one_was_dropped() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    let mut tx = trial.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let (inside, is_inside) = oneshot::channel();
    tokio::select! {
        _ = nested_stays(&mut tx, inside) => panic!("it does not end by itself"),
        told = is_inside => told.unwrap(),
    }
    insert(&mut tx, 3).await.unwrap();
    let seen = number(&mut tx, "SELECT COUNT(*) FROM t").await.unwrap();
    assert_eq!(seen, 2);
    tx.commit().await.unwrap();
    trial.assert_recovered("the outer has committed").await;
    assert_eq!(trial.ids().await, [1, 3]);
}
