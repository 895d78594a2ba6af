//! The server is out of reach: callers fail at once, one at a time tries, and service resumes by
//! itself.

use std::time::Duration;

use sqlx::Executor;
use txn::{Breaker, Db, Error, Tx, transactional};

use super::{DB, insert};
use crate::support::drop_points::{DropPoint, at_every_point, is_pending, poll_at_most};
use crate::support::observer::until;
use crate::support::route::Route;

/// The breaker opens at the third failure.
const AT_ONCE: Duration = Duration::ZERO;

#[transactional(name = "read", read_only)]
async fn read(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.execute("SELECT 1").await?;
    Ok(())
}

/// Calls until the breaker opens, and returns the last error from before.
async fn until_open(db: &Db<DB>) -> Error {
    for _ in 0..2 {
        let error = read(db).await.unwrap_err();
        assert!(error.is_connection() && !error.is_unavailable(), "{error}");
        assert_eq!(db.status().breaker, Breaker::Closed);
    }
    let error = read(db).await.unwrap_err();
    assert_ne!(db.status().breaker, Breaker::Closed);
    error
}

/// Returns the error of a caller that was refused without trying.
async fn refused(db: &Db<DB>) -> Error {
    let mut last = None;
    until("a caller fails without trying", async || {
        let error = read(db).await.unwrap_err();
        assert!(error.is_connection(), "{error}");
        last = Some(error);
        last.as_ref().is_some_and(Error::is_unavailable)
    })
    .await;
    last.unwrap()
}

/// Calls until a call succeeds. Callers that try find the server, so that all who fail did not try.
async fn until_served(db: &Db<DB>) {
    until("callers are served again", async || {
        let served = read(db).await;
        let is_refused = |error: &Error| error.is_unavailable();
        assert!(served.as_ref().err().is_none_or(is_refused), "{served:?}");
        served.is_ok()
    })
    .await;
    assert_eq!(db.status().breaker, Breaker::Closed);
}

#[tokio::test]
async fn callers_fail_at_once_with_the_last_cause_until_the_server_is_back() {
    let route = Route::<DB>::new().await;
    let db = route
        .connect(|builder| builder.max_sessions(2).breaker_after(AT_ONCE))
        .await;
    let mut held = db.session().await.unwrap();
    route.block();
    let last = until_open(&db).await;

    let error = refused(&db).await;

    assert!(error.is_connection() && error.is_retryable() && !error.is_timeout());
    assert_eq!(error.code(), last.code());
    let text = error.to_string();
    let cause = last.to_string();
    let (_, cause) = cause.split_once("): ").unwrap();
    assert!(text.starts_with("the server has been out of reach for "), "{text}");
    assert!(text.ends_with(&format!("(in `read`): {cause}")), "{text}");
    let back = Error::from(sqlx::Error::from(error));
    assert!(back.is_unavailable() && back.to_string() == text, "{back}");
    held.execute("SELECT 1").await.expect("this one is alive");

    route.unblock();
    until_served(&db).await;
    drop(held);
    db.close().await;
}

#[tokio::test]
async fn a_session_that_is_alive_serves_one_after_the_other_meanwhile() {
    let route = Route::<DB>::new().await;
    let db = route
        .connect(|builder| builder.max_sessions(2).breaker_after(AT_ONCE))
        .await;
    let held = db.session().await.unwrap();
    route.block();
    until_open(&db).await;
    drop(held);
    for id in 0..5 {
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_ne!(db.status().breaker, Breaker::Closed);
    route.unblock();
    db.close().await;
}

/// A failure that is over before the breaker opens costs only those who called meanwhile.
#[tokio::test]
async fn a_short_outage_costs_nobody_an_error_who_comes_after_it() {
    let route = Route::<DB>::new().await;
    let db = route.connect(|builder| builder.max_sessions(2)).await;
    let held = db.session().await.unwrap();
    route.block();
    for _ in 0..10 {
        let error = read(&db).await.unwrap_err();
        assert!(!error.is_unavailable(), "{error}");
    }
    route.unblock();
    assert_eq!(db.status().breaker, Breaker::Closed);
    read(&db).await.unwrap();
    drop(held);
    db.close().await;
}

#[tokio::test]
async fn without_a_breaker_every_caller_tries() {
    let route = Route::<DB>::new().await;
    let db = route
        .connect(|builder| builder.max_sessions(2).breaker_after(None))
        .await;
    let held = db.session().await.unwrap();
    route.block();
    for _ in 0..10 {
        assert!(!read(&db).await.unwrap_err().is_unavailable());
    }
    route.unblock();
    read(&db).await.unwrap();
    drop(held);
    db.close().await;
}

/// The connection of the caller who tries is held up on its way. If it gives up, the next one gets
/// what it has begun.
#[tokio::test]
async fn one_caller_at_a_time_tries_and_the_attempt_goes_on_when_it_is_dropped() {
    let route = Route::<DB>::new().await;
    let Some(proxy) = &route.proxy else { return };
    let db = route
        .connect(|builder| builder.max_sessions(8).breaker_after(AT_ONCE))
        .await;
    let held = db.session().await.unwrap();
    route.block();
    until_open(&db).await;
    proxy.stall();
    route.unblock();
    let mut probe = Box::pin(read(&db));
    until("one tries", async || {
        if !is_pending(&mut probe).await {
            probe = Box::pin(read(&db));
        }
        db.status().breaker == Breaker::HalfOpen
    })
    .await;
    let others_are_refused = async || {
        for _ in 0..5 {
            let other = poll_at_most(1, read(&db)).await;
            assert!(other.unwrap().unwrap_err().is_unavailable());
        }
        assert_eq!(db.status().breaker, Breaker::HalfOpen);
    };
    others_are_refused().await;
    drop(probe);
    let mut heir = Box::pin(read(&db));
    assert!(is_pending(&mut heir).await, "it waits for the attempt that is under way");
    others_are_refused().await;
    proxy.release();
    heir.await.unwrap();
    assert_eq!(db.status().breaker, Breaker::Closed);
    drop(held);
    db.close().await;
}

/// The server accepts, and does not answer: the caller who tries alone must not try for ever.
#[tokio::test]
async fn a_server_that_says_nothing_is_out_of_reach_too() {
    let route = Route::<DB>::new().await;
    let db = route
        .connect(|builder| builder.max_sessions(5).breaker_after(AT_ONCE))
        .await;
    let Some(_silent) = route.replace() else { return };
    let held = db.session().await.unwrap();
    let mut callers: Vec<_> = (0..3).map(|_| Box::pin(read(&db))).collect();
    until("the breaker opens", async || {
        for caller in &mut callers {
            assert!(is_pending(caller).await);
        }
        db.status().breaker != Breaker::Closed
    })
    .await;
    let error = refused(&db).await;
    assert!(error.to_string().ends_with(": timed out"), "{error}");
    until("one tries", async || {
        let mut probe = Box::pin(read(&db));
        if !is_pending(&mut probe).await {
            return false;
        }
        let error = probe.await.unwrap_err();
        error.is_connection() && !error.is_unavailable()
    })
    .await;
    drop((callers, held));
}

/// The time for an attempt may be shorter than that for an answer. It is over then all the same.
#[tokio::test]
async fn a_server_that_says_nothing_is_out_of_reach_also_for_those_in_haste() {
    let route = Route::<DB>::new().await;
    let haste = Duration::from_millis(300);
    let db = route
        .connect(|builder| {
            builder.max_sessions(5).breaker_after(AT_ONCE).acquire_timeout(haste)
        })
        .await;
    let held = db.session().await.unwrap();
    let Some(_silent) = route.replace() else { return };
    until("a caller fails without trying", async || {
        let error = read(&db).await.unwrap_err();
        assert!(error.is_connection() || error.is_acquire_timeout(), "{error}");
        error.is_unavailable() && error.to_string().ends_with(": timed out")
    })
    .await;
    drop(held);
}

/// The caller who tries is dropped after every number of polls.
#[tokio::test]
async fn a_probe_dropped_anywhere_keeps_nobody_from_trying() {
    let route = Route::<DB>::new().await;
    let pieces = |size| route.proxy.iter().for_each(|proxy| proxy.drip(size));
    at_every_point(async |point: DropPoint| {
        let db = route
            .connect(|builder| builder.max_sessions(2).breaker_after(AT_ONCE))
            .await;
        let held = db.session().await.unwrap();
        route.block();
        until_open(&db).await;
        route.unblock();
        pieces(Some(9));
        let mut complete = false;
        until("one tries", async || {
            let tried = point.drop_there(db.begin()).await;
            complete = tried.as_ref().is_some_and(Result::is_ok);
            let was_refused = tried.is_some_and(|tried| tried.is_err());
            point.polls == 0 || !was_refused
        })
        .await;
        pieces(None);
        db.settled().await;
        until_served(&db).await;
        drop(held);
        let status = db.status();
        assert_eq!((status.in_use, status.waiting), (0, 0), "{status:?}");
        db.close().await;
        complete
    })
    .await;
}
