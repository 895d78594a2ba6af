//! A scope keeps its promises, whatever becomes of its future. (The three losses of data that plain
//! sqlx has are in `data_loss`, beside the same programs with txn; a rollback that fails is in
//! `server_faults` too.)

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::Executor;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, number};
use crate::support::drop_points::{is_pending, poll_at_most};
use crate::support::drop_trial::Trial;

mod errors;

#[transactional]
async fn writes(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional]
async fn writes_and_waits(
    tx: &mut Tx<DB>,
    id: i64,
    inside: oneshot::Sender<()>,
) -> Result<(), Error> {
    insert(tx, id).await?;
    inside.send(()).unwrap();
    pending().await
}

#[transactional]
async fn writes_and_dawdles(
    tx: &mut Tx<DB>,
    id: i64,
    inside: oneshot::Sender<()>,
) -> Result<(), Error> {
    insert(tx, id).await?;
    // This happens in the same poll in which the query is sent.
    inside.send(()).unwrap();
    tx.execute(DB::SLOW_QUERY).await?;
    Ok(())
}

/// Runs the scope until it says where it is, and drops it there.
async fn drop_inside<F: Future>(scope: impl FnOnce(oneshot::Sender<()>) -> F) {
    let (inside, is_inside) = oneshot::channel();
    tokio::select! {
        _ = Box::pin(scope(inside)) => panic!("it does not end by itself"),
        told = is_inside => told.unwrap(),
    }
}

#[tokio::test]
async fn scope_dropped_early() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    drop(writes(&*trial, 1));
    drop_inside(|inside| writes_and_waits(&*trial, 1, inside)).await;
    trial.assert_recovered("dropped in its body").await;
    let mut tx = trial.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop(tx);
    trial.assert_recovered("dropped by hand").await;
    assert!(trial.ids().await.is_empty());
}

/// The query would run for 20 s, with the lock on the row.
#[tokio::test]
async fn scope_dropped_while_its_operation_is_in_flight() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    for _ in 0..5 {
        drop_inside(|inside| writes_and_dawdles(&*trial, 1, inside)).await;
        trial.assert_recovered("dropped in its query").await;
    }
    writes(&*trial, 1).await.unwrap();
    assert_eq!(trial.ids().await, [1]);
}

const ACCOUNTS: i64 = 6;

#[transactional]
async fn transfer(tx: &mut Tx<DB>, from: i64, to: i64) -> Result<(), Error> {
    // The rows are locked in one order, so that no transfers wait for each other in a circle.
    let (first, second) = (from.min(to), from.max(to));
    let amount = |id| if id == from { -1 } else { 1 };
    for id in [first, second] {
        let sql = format!("UPDATE t SET n = n + {} WHERE id = {id}", amount(id));
        tx.execute(sqlx::AssertSqlSafe(sql)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_scopes_on_one_handle() {
    let mut trial = Trial::<DB>::of_sessions(3).await;
    for id in 0..ACCOUNTS {
        writes(&*trial, id).await.unwrap();
    }
    let completed = std::sync::Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let (db, completed) = (Db::clone(&trial), completed.clone());
        tasks.spawn(async move {
            let (from, to) = (n % ACCOUNTS, (n * 5 + 1) % ACCOUNTS);
            let polls = if n % 3 == 0 { 1 + n / 3 % 12 } else { 10_000 };
            let scope = Box::pin(transfer(&db, from, to));
            if let Some(result) = poll_at_most(polls.try_into().unwrap(), scope).await {
                result.unwrap();
                completed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tasks.join_all().await;
    assert!(completed.load(Ordering::Relaxed) >= 133);
    trial.assert_recovered("all have ended").await;
    let sum = trial.fetch_one(DB::SUM).await.unwrap();
    assert_eq!(DB::number(&sum), 0, "what one has lost another has");
}

#[tokio::test]
async fn cancel_with_shielded_commit() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    let mut expected = Vec::new();
    for id in 0..20 {
        let mut tx = trial.begin().await.unwrap();
        insert(&mut tx, id).await.unwrap();
        expected.push(id);
        let mut commit = Box::pin(tx.commit());
        let _ = is_pending(&mut commit).await;
        drop(commit);
        trial.assert_recovered(id).await;
        assert_eq!(trial.ids().await, expected);
    }
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, id: i64, keep: bool) -> Result<(), Error> {
    insert(tx, id).await?;
    match keep {
        true => writes(tx, id + 1).await,
        false => Err(sqlx::Error::RowNotFound.into()),
    }
}

#[transactional]
async fn flow(tx: &mut Tx<DB>) -> Result<i64, Error> {
    writes(tx, 1).await?;
    nested(tx, 10, true).await?;
    nested(tx, 20, false).await.unwrap_err();
    nested(tx, 30, true).await?;
    Ok(number(tx, "SELECT COUNT(*) FROM t").await?)
}

#[tokio::test]
async fn ordinary_flow() {
    let mut trial = Trial::<DB>::of_sessions(1).await;
    writes(&*trial, 100).await.unwrap();
    assert!(writes(&*trial, 100).await.is_err());
    trial.assert_recovered("one of each").await;
    assert_eq!(trial.ids().await, [100]);
    assert_eq!(trial.status().open, 1);
}

#[tokio::test]
async fn nested_scopes() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    assert_eq!(flow(&*trial).await.unwrap(), 5);
    trial.assert_recovered("with nested scopes").await;
    assert_eq!(trial.ids().await, [1, 10, 11, 30, 31]);
}

/// Every second scope is dropped on its way, each at another point.
#[tokio::test]
async fn rapid_creation_and_cleanup() {
    let db = Fixture::<DB>::of_sessions(4).await;
    let mut committed = 0;
    for n in 0..10_000_usize {
        let id = n.try_into().unwrap();
        let polls = if n % 2 == 0 { 1 + n / 2 % 6 } else { 10_000 };
        if let Some(result) = poll_at_most(polls, Box::pin(writes(&*db, id))).await {
            result.unwrap();
            committed += 1;
        }
    }
    db.assert_at_rest().await;
    assert!(committed >= 5_000);
    // A dropped scope was committed all the same if its COMMIT was on the way.
    assert!(db.ids().await.len() >= committed);
}

#[tokio::test]
async fn cleanup_during_shutdown() {
    let trial = Trial::<DB>::of_sessions(3).await;
    drop_inside(|inside| writes_and_dawdles(&*trial, 1, inside)).await;
    assert_eq!(trial.status().settling, 1);
    trial.close().await;
    let status = trial.status();
    assert_eq!((status.open, status.settling), (0, 0), "{status:?}");
    assert!(writes(&*trial, 2).await.unwrap_err().is_closed());
    assert!(trial.ids().await.is_empty());
}
