//! When sessions are opened, how many of them, and with what options.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use txn::{DbBuilder, Error, Tx, transactional};

use super::{DB, Fixture, insert, patient};
use crate::support::drop_points::is_pending;
use crate::support::observer::until;

const SOON: Duration = Duration::from_millis(50);

#[transactional]
async fn adds(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[tokio::test]
async fn a_lazy_handle_opens_its_first_session_for_its_first_caller() {
    let home = Fixture::<DB>::new().await;
    let options = home.url().parse().unwrap();
    let db = patient::<DB>(options).connect_lazy();
    assert_eq!(db.status().open, 0);
    adds(&db, 1).await.unwrap();
    assert_eq!(db.status().open, 1);
    assert_eq!(home.ids().await, [1]);
    db.close().await;
}

#[tokio::test]
async fn a_lazy_handle_that_was_never_used_closes_at_once() {
    let home = Fixture::<DB>::new().await;
    let db = patient::<DB>(home.url().parse().unwrap()).connect_lazy();
    db.close().await;
    assert!(adds(&db, 1).await.unwrap_err().is_closed());
}

#[tokio::test]
async fn as_many_sessions_are_idle_as_were_asked_for() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(4).min_idle(2)).await;
    until("two are idle", async || db.status().idle >= 2).await;
    let held = [db.session().await.unwrap(), db.session().await.unwrap()];
    until("two others are idle", async || db.status().idle == 2).await;
    db.assert_sessions(4, 2, 2, 0);
    let third = db.session().await.unwrap();
    db.assert_sessions(4, 1, 3, 0); // no more may be open
    drop((held, third));
    db.assert_sessions(4, 4, 0, 0);
    db.assert_at_rest().await;
}

/// One that is closed leaves a place, in which another may be opened.
#[tokio::test]
async fn one_is_opened_in_the_place_of_one_that_is_closed() {
    let db = Fixture::<DB>::with(|builder| {
        let keeps_none = builder.after_release(|_, _| Box::pin(async { Ok(false) }));
        keeps_none.max_sessions(2).min_idle(1)
    })
    .await;
    let first = db.session().await.unwrap();
    let second = db.session().await.unwrap();
    db.assert_sessions(2, 0, 2, 0); // no more may be open
    drop(first);
    until("another is idle", async || db.status().idle == 1).await;
    drop(second);
    db.close().await;
}

/// No session is closed for its age, so that the reaper looks at the pool only if it is told to.
fn ageless(builder: DbBuilder<DB>) -> DbBuilder<DB> {
    builder.idle_timeout(None).max_lifetime(None)
}

/// A place that an attempt in vain has left is as good as one that was never taken.
#[tokio::test]
async fn one_is_opened_in_the_place_that_an_attempt_in_vain_has_left() {
    let fails = Arc::new(AtomicBool::new(false));
    let callback = Arc::clone(&fails);
    let db = Fixture::<DB>::with(|builder| {
        let keeps_none = builder.after_release(|_, _| Box::pin(async { Ok(false) }));
        ageless(keeps_none).max_sessions(2).min_idle(1).after_connect(move |_, _| {
            let fails = callback.swap(false, Ordering::Relaxed);
            Box::pin(async move { if fails { Err(refused()) } else { Ok(()) } })
        })
    })
    .await;
    let [first, second] = [db.session().await.unwrap(), db.session().await.unwrap()];
    let mut waiting = Box::pin(db.session());
    assert!(is_pending(&mut waiting).await);
    fails.store(true, Ordering::Relaxed);
    // The caller takes the place at once, so that nothing may be opened for others.
    drop(first);
    let error = waiting.await.unwrap_err();
    assert!(error.to_string().contains("not this time"), "{error}");
    until("another is idle", async || db.status().idle == 1).await;
    drop(second);
    db.close().await;
}

fn refused() -> sqlx::Error {
    sqlx::Error::Protocol("not this time".into())
}

/// The attempt takes longer than the pause after which the pool is looked at again.
#[tokio::test]
async fn one_is_opened_also_if_an_attempt_was_in_vain_and_took_long() {
    let opened = Arc::new(AtomicUsize::new(0));
    let db = Fixture::<DB>::with(|builder| {
        ageless(builder).min_idle(1).after_connect(move |_, _| {
            let fails = opened.fetch_add(1, Ordering::Relaxed) == 1;
            Box::pin(async move {
                if fails {
                    tokio::time::sleep(Duration::from_millis(1500)).await;
                    return Err(refused());
                }
                Ok(())
            })
        })
    })
    .await;
    let held = db.session().await.unwrap();
    until("another is idle", async || db.status().idle == 1).await;
    drop(held);
    db.close().await;
}

/// The caller takes another session in its place.
#[tokio::test]
async fn one_is_opened_for_one_that_before_acquire_did_not_want() {
    let rejects = Arc::new(AtomicBool::new(false));
    let callback = Arc::clone(&rejects);
    let db = Fixture::<DB>::with(|builder| {
        ageless(builder).max_sessions(3).min_idle(2).before_acquire(move |_, _| {
            let wanted = !callback.swap(false, Ordering::Relaxed);
            Box::pin(async move { Ok(wanted) })
        })
    })
    .await;
    let both = [db.session().await.unwrap(), db.session().await.unwrap()];
    until("the third is idle", async || db.status().idle == 1).await;
    drop(both);
    db.assert_sessions(3, 3, 0, 0);
    rejects.store(true, Ordering::Relaxed);
    let held = db.session().await.unwrap();
    assert!(!rejects.load(Ordering::Relaxed));
    until("another is idle", async || db.status().idle == 2).await;
    drop(held);
    db.close().await;
}

#[tokio::test]
async fn those_stay_open_though_nobody_uses_them_and_the_others_are_closed() {
    let limits = |builder: DbBuilder<DB>| {
        builder.max_sessions(4).min_idle(1).idle_timeout(SOON)
    };
    let db = Fixture::<DB>::with(limits).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(db.session().await.unwrap());
    }
    drop(held);
    until("the others are closed", async || db.status().open == 1).await;
    tokio::time::sleep(4 * SOON).await;
    db.assert_sessions(1, 1, 0, 0);
    adds(&*db, 1).await.unwrap();
    assert_eq!(db.ids().await, [1]);
}

/// Waits until three sessions that were idle have been replaced, and nobody has asked for one.
async fn assert_replaced(limits: fn(DbBuilder<DB>) -> DbBuilder<DB>) {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let db = Fixture::<DB>::with(|builder| {
        limits(builder.min_idle(1).max_lifetime(SOON)).after_connect(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) })
        })
    })
    .await;
    let before = opened.load(Ordering::Relaxed);
    let replaced = async || opened.load(Ordering::Relaxed) >= before + 3;
    until("three were replaced", replaced).await;
    db.close().await;
}

#[tokio::test]
async fn those_that_are_too_old_are_replaced_before_anybody_asks() {
    assert_replaced(|builder| builder).await;
}

/// They are kept although they are idle for too long, which is no reason to keep them for ever.
#[tokio::test]
async fn also_those_that_have_been_idle_for_too_long() {
    assert_replaced(|builder| builder.idle_timeout(SOON / 10)).await;
}

#[tokio::test]
async fn sessions_are_opened_with_the_options_that_were_set_last() {
    let (db, other) = (Fixture::<DB>::new().await, Fixture::<DB>::new().await);
    let held = db.session().await.unwrap();
    db.set_connect_options(other.url().parse().unwrap());
    // A new session, because the only other one is in use.
    adds(&*db, 1).await.unwrap();
    assert_eq!(other.ids().await, [1]);
    db.set_connect_options(db.url().parse().unwrap());
    drop(held);
    // The session that was used last is the first.
    assert!(db.ids().await.is_empty());
}
