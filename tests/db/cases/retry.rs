//! A root scope with `retry` is run again after a conflict.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::Executor;
use tokio::sync::Barrier;
use txn::{Error, Retry, Tx, transactional};

use super::{DB, Fixture, insert, number, patient};
use crate::support::observer::until;
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

/// An error that says nothing of its cause.
#[derive(Debug, PartialEq)]
struct Opaque(&'static str);

impl From<Error> for Opaque {
    fn from(_: Error) -> Self {
        Self("the scope failed")
    }
}

/// Loses its own connection in all attempts but the last.
async fn lose_connection_until(tx: &mut Tx<DB>, attempt: u32) -> Result<(), sqlx::Error> {
    if tx.attempt() < attempt {
        tx.execute(DB::LOSE_CONNECTION).await?;
    }
    Ok(())
}

#[transactional(retry(max_attempts = 3, base_delay = "1ms"))]
async fn third_time_lucky(
    tx: &mut Tx<DB>,
    text: String,
    (id, ran): (i64, &AtomicU32),
) -> Result<usize, Opaque> {
    ran.fetch_add(1, Ordering::Relaxed);
    insert(tx, id).await.map_err(|_| Opaque("insert"))?;
    let lost = lose_connection_until(tx, 3).await;
    lost.map_err(|_| Opaque("lost"))?;
    Ok(text.into_bytes().len()) // takes its copy apart
}

/// The transaction's own record decides, whatever the body made of the driver's error.
#[tokio::test]
async fn a_conflict_is_recognised_behind_an_error_that_hides_it() {
    let db = Fixture::<DB>::new().await;
    let ran = AtomicU32::new(0);
    let length = third_time_lucky(&*db, "four".into(), (1, &ran)).await.unwrap();
    assert_eq!((length, ran.into_inner()), (4, 3));
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
}

fn opaque(_: Error) -> u16 {
    500
}

#[transactional(error = opaque, retry(max_attempts = 3, base_delay = "1ms"))]
async fn third_time_found(tx: &mut Tx<DB>) -> Result<u32, u16> {
    insert(tx, 1).await.map_err(|_| 409_u16)?;
    lose_connection_until(tx, 3).await.map_err(|_| 503_u16)?;
    Ok(tx.attempt())
}

/// Nothing is known of the error's type, not even that it can be shown.
#[tokio::test]
async fn nor_does_an_error_type_of_somebody_elses_hide_it() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(third_time_found(&*db).await, Ok(3));
    assert_eq!(db.ids().await, [1]);
}

#[transactional(retry)]
async fn as_the_database_says(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    lose_connection_until(tx, u32::MAX).await?;
    Ok(())
}

#[tokio::test]
async fn a_retry_without_figures_takes_them_from_the_database() {
    let policy = Retry::DEFAULT.base_delay(Duration::from_millis(1));
    for attempts in [1, 7] {
        let policy = policy.max_attempts(attempts);
        let db = Fixture::<DB>::with(|builder| builder.retry(policy)).await;
        let ran = AtomicU32::new(0);
        as_the_database_says(&*db, &ran).await.unwrap_err();
        assert_eq!(ran.into_inner(), attempts);
    }
}

#[transactional(retry = 2)]
async fn never_lucky(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    // The loss is swallowed, and found out at the end.
    lose_connection_until(tx, 9).await.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn the_last_failure_says_how_often_it_was_tried() {
    let db = Fixture::<DB>::new().await;
    let ran = AtomicU32::new(0);
    let error = never_lucky(&*db, &ran).await.unwrap_err();
    assert_eq!(ran.into_inner(), 2);
    assert!(error.is_aborted() && error.is_connection(), "{error}");
    assert!(error.to_string().starts_with("after 2 attempts in "), "{error}");
}

#[transactional]
async fn root_without(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Error> {
    never_lucky(tx, ran).await
}

/// Its root is run again, if that asks for it.
#[tokio::test]
async fn a_joined_scope_is_not_run_again() {
    let db = Fixture::<DB>::new().await;
    let ran = AtomicU32::new(0);
    root_without(&*db, &ran).await.unwrap_err();
    assert_eq!(ran.into_inner(), 1);
}

#[transactional(retry)]
async fn root_with(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Error> {
    joined_conflict(tx, ran).await
}

#[transactional]
async fn joined_conflict(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    lose_connection_until(tx, 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_conflict_in_a_joined_scope_is_retried_by_its_root() {
    let db = Fixture::<DB>::new().await;
    let ran = AtomicU32::new(0);
    root_with(&*db, &ran).await.unwrap();
    assert_eq!(ran.into_inner(), 2);
}

#[transactional(retry)]
async fn fails_for_its_own_reasons(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), sqlx::Error> {
    ran.fetch_add(1, Ordering::Relaxed);
    insert(tx, 1).await?;
    insert(tx, 1).await
}

#[tokio::test]
async fn what_is_no_conflict_is_not_retried() {
    let db = Fixture::<DB>::new().await;
    let ran = AtomicU32::new(0);
    let error = fails_for_its_own_reasons(&*db, &ran).await.unwrap_err();
    assert!(error.as_database_error().unwrap().is_unique_violation());
    assert_eq!(ran.into_inner(), 1);
}

#[transactional(retry)]
async fn commits_once(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[tokio::test]
async fn a_commit_that_may_have_happened_is_never_repeated() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options): (Proxy, _) = DB::by_proxy(fixture.url());
    let db = patient::<DB>(options).connect().await.unwrap();
    proxy.cut_at("COMMIT");
    let error = commits_once(&db, 1).await.unwrap_err();
    assert!(error.is_commit_unknown(), "{error}");
    assert_eq!(proxy.count("COMMIT"), 1);
}

#[transactional(retry)]
async fn hooked(tx: &mut Tx<DB>, log: &'static Mutex<Vec<u32>>) -> Result<(), Error> {
    let attempt = tx.attempt();
    tx.after_commit(async move { log.lock().unwrap().push(attempt) });
    lose_connection_until(tx, 3).await?;
    Ok(())
}

#[tokio::test]
async fn hooks_of_failed_attempts_are_gone() {
    static LOG: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    let db = Fixture::<DB>::new().await;
    hooked(&*db, &LOG).await.unwrap();
    assert_eq!(*LOG.lock().unwrap(), [3]);
}

#[transactional(retry = 5, timeout = "300ms")]
async fn out_of_time(tx: &mut Tx<DB>, ran: &AtomicU32) -> Result<(), Error> {
    if ran.fetch_add(1, Ordering::Relaxed) == 0 {
        tx.execute(DB::LOSE_CONNECTION).await?;
    }
    std::future::pending().await
}

/// The time is that of all attempts together.
#[tokio::test]
async fn a_timeout_is_not_begun_anew() {
    let db = Fixture::<DB>::new().await;
    // On a busy machine the time may be over before the second attempt.
    until("there is a second attempt", async || {
        let ran = AtomicU32::new(0);
        let error = out_of_time(&*db, &ran).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let attempts = ran.into_inner();
        assert!(attempts <= 2, "{attempts}");
        attempts == 2
    })
    .await;
    db.assert_at_rest().await;
}

/// Both scopes read before either writes, the first time.
#[transactional(isolation = serializable, retry = 10)]
async fn count_then_write(tx: &mut Tx<DB>, id: i64, both: &Barrier) -> Result<u32, Error> {
    number(tx, "SELECT COUNT(*) FROM t").await?;
    if tx.attempt() == 1 {
        both.wait().await;
    }
    insert(tx, id).await?;
    Ok(tx.attempt())
}

/// PostgreSQL reports a serialization failure, and MySQL a deadlock of the locks that reading
/// takes.
#[tokio::test]
async fn two_writers_that_conflict_both_succeed_in_the_end() {
    let db = Fixture::<DB>::new().await;
    let both = Barrier::new(2);
    let (a, b) = tokio::join!(
        count_then_write(&*db, 1, &both),
        count_then_write(&*db, 2, &both)
    );
    assert!(a.unwrap().max(b.unwrap()) > 1, "there was no conflict");
    assert_eq!(db.ids().await, [1, 2]);
    db.assert_at_rest().await;
}
