//! Some failures are a reason to run a scope again, and others are not.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Executor;
use tokio::sync::Notify;
use txn::{Error, Tx, transactional};

use super::{DB, Fixture, insert};
use crate::support::server_engine::ServerEngine;

/// The error of the application.
#[derive(Debug, thiserror::Error)]
enum Shop {
    #[error("there is no such thing")]
    NotFound,
    #[error(transparent)]
    Txn(#[from] Error),
    #[error("the database")]
    Sqlx(#[from] sqlx::Error),
}

/// An error that says nothing of its cause.
#[derive(Debug)]
struct Opaque;

impl From<Error> for Opaque {
    fn from(_: Error) -> Self {
        Self
    }
}

/// Fails in a way that another attempt may mend: a lock was not to be had, for the statement alone
/// or for all of the transaction.
async fn conflict(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    tx.execute(DB::LOCKED).await.map(drop)
}

#[transactional(nested)]
async fn nested_conflict(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 2).await?;
    conflict(tx).await
}

#[transactional]
async fn joined_nested_conflict(tx: &mut Tx<DB>) -> Result<(), Error> {
    nested_conflict(tx).await.unwrap_err();
    Ok(())
}

#[transactional(nested)]
async fn undoes_what_it_kept(tx: &mut Tx<DB>) -> Result<(), Shop> {
    keeps_it(tx).await.unwrap();
    Err(Shop::NotFound)
}

/// The failure is handled inside; where a failure aborts the transaction, it is handled in a scope
/// of its own.
#[transactional(nested)]
async fn keeps_it(tx: &mut Tx<DB>) -> Result<(), Shop> {
    nested_conflict(tx).await.unwrap_err();
    insert(tx, 3).await?;
    Ok(())
}

#[transactional(retry = 3)]
async fn handles(tx: &mut Tx<DB>, ran: &AtomicU32, how: u32) -> Result<(), Shop> {
    ran.fetch_add(1, Ordering::Relaxed);
    match how {
        0 => nested_conflict(tx).await.unwrap_err().to_string().truncate(0),
        1 => joined_nested_conflict(tx).await?,
        2 => undoes_what_it_kept(tx).await.unwrap_err().to_string().truncate(0),
        _ => drop_it(tx).await,
    }
    Err(Shop::NotFound)
}

/// Drops a scope that has met the conflict, so that it is undone with whatever comes next, or with
/// all.
async fn drop_it(tx: &mut Tx<DB>) {
    tokio::select! {
        biased;
        never = meets_and_stays(tx) => never.unwrap(),
        () = async { for _ in 0..10_000 { tokio::task::yield_now().await } } => {}
    }
}

#[transactional(nested)]
async fn meets_and_stays(tx: &mut Tx<DB>) -> Result<(), Error> {
    conflict(tx).await.unwrap_err();
    std::future::pending().await
}

async fn with_a_lock() -> (Fixture<DB>, Tx<DB>) {
    let db = Fixture::<DB>::new().await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 0)").await.unwrap();
    let mut holder = db.begin().await.unwrap();
    holder.execute("UPDATE t SET n = 1 WHERE id = 1").await.unwrap();
    (db, holder)
}

#[tokio::test]
async fn a_conflict_that_was_undone_with_its_nested_scope_is_no_reason() {
    let (db, holder) = with_a_lock().await;
    for how in 0..3 {
        let ran = AtomicU32::new(0);
        let error = handles(&*db, &ran, how).await.unwrap_err();
        assert!(matches!(error, Shop::NotFound), "{error}");
        assert_eq!(ran.into_inner(), 1, "{how}");
    }
    holder.rollback().await.unwrap();
    db.assert_at_rest().await;
    assert_eq!(db.ids().await, [1]);
}

#[tokio::test]
async fn nor_is_one_in_a_nested_scope_that_was_dropped() {
    let (db, holder) = with_a_lock().await;
    let ran = AtomicU32::new(0);
    handles(&*db, &ran, 3).await.unwrap_err();
    assert_eq!(ran.into_inner(), 1);
    holder.rollback().await.unwrap();
}

#[transactional(retry = 3)]
async fn passes_on(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Shop> {
    ran.fetch_add(1, Ordering::Relaxed);
    Ok(nested_conflict(tx).await?)
}

#[transactional(retry = 3)]
async fn passes_on_ours(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    Ok(nested_conflict(tx).await?)
}

#[transactional(retry = 3)]
async fn passes_on_in_ours(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Shop> {
    ran.fetch_add(1, Ordering::Relaxed);
    let passed: Result<(), Error> = nested_conflict(tx).await.map_err(Into::into);
    Ok(passed?)
}

#[transactional(retry = 3)]
async fn passes_on_theirs(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), sqlx::Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    nested_conflict(tx).await
}

#[transactional(retry = 3)]
async fn passes_on_any(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), anyhow::Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    Ok(nested_conflict(tx).await?)
}

#[transactional(retry = 3)]
async fn hides(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Opaque> {
    ran.fetch_add(1, Ordering::Relaxed);
    nested_conflict(tx).await.map_err(|_| Opaque)
}

#[track_caller]
fn assert_three_attempts(ran: AtomicU32, error: &(dyn StdError + 'static)) {
    assert_eq!(ran.into_inner(), 3, "{error}");
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string().contains("after 3 attempts in ") {
            return;
        }
        next = error.source();
    }
    panic!("it does not say how often it was tried: {error}");
}

#[tokio::test]
async fn a_conflict_that_the_body_returns_is_a_reason_though_it_was_undone() {
    let (db, holder) = with_a_lock().await;
    let ran = || AtomicU32::new(0);
    let (a, b, c, d, e, f) = (ran(), ran(), ran(), ran(), ran(), ran());
    let error = passes_on(&*db, &a).await.unwrap_err();
    assert_three_attempts(a, &error);
    let error = passes_on_ours(&*db, &b).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_three_attempts(b, &error);
    let error = passes_on_in_ours(&*db, &c).await.unwrap_err();
    assert_three_attempts(c, &error);
    let error = passes_on_theirs(&*db, &d).await.unwrap_err();
    let database = error.as_database_error().unwrap();
    database.downcast_ref::<<DB as crate::support::dialect::Dialect>::DriverError>();
    assert_three_attempts(d, &error);
    let error = passes_on_any(&*db, &e).await.unwrap_err();
    assert_three_attempts(e, &*error);
    // If nobody can look into the error, it is the body's own, and final.
    hides(&*db, &f).await.unwrap_err();
    assert_eq!(f.into_inner(), 1);
    holder.rollback().await.unwrap();
    db.assert_at_rest().await;
}

#[transactional(retry = 3)]
async fn at_the_top(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Shop> {
    ran.fetch_add(1, Ordering::Relaxed);
    conflict(tx).await.map_err(|_| Shop::NotFound)
}

#[transactional(retry = 3)]
async fn refused_afterwards(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Shop> {
    ran.fetch_add(1, Ordering::Relaxed);
    conflict(tx).await.unwrap_err();
    insert(tx, 4).await?;
    conflict(tx).await?;
    Ok(())
}

#[tokio::test]
async fn a_conflict_that_is_still_in_the_transaction_is_a_reason_whatever_the_body_returns() {
    let (db, holder) = with_a_lock().await;
    let ran = AtomicU32::new(0);
    at_the_top(&*db, &ran).await.unwrap_err();
    assert_eq!(ran.into_inner(), 3);
    let ran = AtomicU32::new(0);
    let error = refused_afterwards(&*db, &ran).await.unwrap_err();
    assert_three_attempts(ran, &error);
    holder.rollback().await.unwrap();
}

#[tokio::test]
async fn a_sandbox_goes_by_the_same_reasons() {
    let db = Fixture::<DB>::new().await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 0)").await.unwrap();
    let sandbox = db.sandbox().await.unwrap();
    let mut holder = db.begin().await.unwrap();
    holder.execute("UPDATE t SET n = 1 WHERE id = 1").await.unwrap();
    let ran = AtomicU32::new(0);
    let error = handles(&sandbox, &ran, 0).await.unwrap_err();
    assert!(matches!(error, Shop::NotFound), "{error}");
    assert_eq!(ran.into_inner(), 1);
    let ran = AtomicU32::new(0);
    let error = passes_on(&sandbox, &ran).await.unwrap_err();
    assert_three_attempts(ran, &error);
    holder.rollback().await.unwrap();
}

#[transactional(nested)]
async fn loses_all(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    tx.execute(DB::LOSE_CONNECTION).await.map(drop)
}

#[transactional(retry = 3)]
async fn handles_a_loss(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Shop> {
    ran.fetch_add(1, Ordering::Relaxed);
    loses_all(tx).await.unwrap_err();
    Err(Shop::NotFound)
}

/// The failure takes all of the transaction along, and not only the nested scope.
#[tokio::test]
async fn a_connection_that_was_lost_in_a_nested_scope_is_a_reason() {
    let db = Fixture::<DB>::new().await;
    let ran = AtomicU32::new(0);
    handles_a_loss(&*db, &ran).await.unwrap_err();
    assert_eq!(ran.into_inner(), 3);
    db.assert_at_rest().await;
}

#[transactional(nested)]
async fn loses_all_and_stays(tx: &mut Tx<DB>, lost: &Notify) -> Result<(), Error> {
    tx.execute(DB::LOSE_CONNECTION).await.unwrap_err();
    lost.notify_one();
    std::future::pending().await
}

#[transactional(retry = 3)]
async fn drops_a_loss(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Shop> {
    ran.fetch_add(1, Ordering::Relaxed);
    let lost = Notify::new();
    tokio::select! {
        never = loses_all_and_stays(tx, &lost) => never.unwrap(),
        () = lost.notified() => {}
    }
    Err(Shop::NotFound)
}

/// Nothing of the transaction is left that its drop could undo by itself.
#[tokio::test]
async fn so_is_one_that_was_lost_in_a_nested_scope_that_was_dropped() {
    let db = Fixture::<DB>::new().await;
    let ran = AtomicU32::new(0);
    drops_a_loss(&*db, &ran).await.unwrap_err();
    assert_eq!(ran.into_inner(), 3);
    db.assert_at_rest().await;
}
