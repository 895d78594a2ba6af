//! tokio's clock is paused, as in tests of long waits: a database takes its time all the same.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::Executor;
use tokio::time::{Instant, sleep, timeout};
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert};
use crate::support::drop_points::poll_at_most;

const LONG: Duration = Duration::from_secs(3600);

#[transactional(timeout = "2s")]
async fn writes(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    Ok(tx.execute("SELECT 1").await.map(drop)?)
}

#[transactional(timeout = "2s")]
async fn takes_long(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 9).await?;
    sleep(LONG).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_database_is_connected_to_and_used_within_every_limit() {
    let begun = Instant::now();
    let db = Fixture::<DB>::new().await;
    let sessions = tokio::join!(db.session(), db.session());
    sessions.0.unwrap();
    sessions.1.unwrap();
    for id in 1..=5 {
        writes(&*db, id).await.unwrap();
    }
    db.check().await.unwrap();
    assert_eq!(db.ids().await, [1, 2, 3, 4, 5]);
    db.close().await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody has slept");
}

/// What a callback asks the server is no wait of the clock's either.
#[tokio::test(start_paused = true)]
async fn a_callback_is_waited_for_within_the_limit_of_its_caller() {
    let db = Fixture::<DB>::with(|builder| {
        builder.max_sessions(1).before_acquire(|connection, _| {
            Box::pin(async { connection.execute("SELECT 1").await.map(|_| true) })
        })
    })
    .await;
    for id in 1..=5 {
        writes(&*db, id).await.unwrap();
    }
    db.close().await;
}

/// A callback may not wait for the clock either. It has as much real time as its caller.
#[tokio::test(start_paused = true)]
async fn a_callback_that_does_not_answer_is_given_up() {
    let hangs = Arc::new(AtomicBool::new(false));
    let db = Fixture::<DB>::in_haste(|builder| {
        let hangs = Arc::clone(&hangs);
        let builder = builder.max_sessions(1).acquire_timeout(Duration::from_secs(1));
        builder.before_acquire(move |_, _| match hangs.load(Ordering::Relaxed) {
            true => Box::pin(pending()),
            false => Box::pin(async { Ok(true) }),
        })
    })
    .await;
    hangs.store(true, Ordering::Relaxed);
    let error = db.session().await.unwrap_err();
    assert!(error.to_string().contains("`before_acquire`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_check_on_a_connection_of_its_own_is_made_within_its_limit() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let held = db.session().await.unwrap();
    db.check().await.unwrap();
    db.check_writable().await.unwrap();
    drop(held);
    db.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_lives_in_the_time_of_the_clock_and_its_session_is_kept() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let error = takes_long(&*db).await.unwrap_err();
    assert!(error.is_timeout() && !error.is_acquire_timeout(), "{error}");
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_in_flight_is_settled() {
    let db = Fixture::<DB>::of_sessions(1).await;
    for id in 1..=3 {
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, id).await.unwrap();
        assert!(poll_at_most(1, tx.execute(DB::SLOW_QUERY)).await.is_none());
        drop(tx);
        db.settled().await;
        writes(&*db, id + 10).await.unwrap();
    }
    assert_eq!(db.ids().await, [11, 12, 13]);
    db.assert_at_rest().await;
}

/// There is one session, and its holder sleeps: both live in the same time.
#[tokio::test(start_paused = true)]
async fn a_caller_waits_in_the_time_of_the_clock_for_a_session_of_anothers() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1).acquire_timeout(LONG)).await;
    let held = db.begin().await.unwrap();
    let holder = async {
        sleep(LONG / 2).await;
        held.commit().await.unwrap();
    };
    let (served, ()) = tokio::join!(timeout(LONG, writes(&*db, 1)), holder);
    // The caller's own time has run out meanwhile: the wait is part of it.
    assert!(served.unwrap().unwrap_err().is_timeout());
    db.begin().await.unwrap().commit().await.unwrap();
    db.assert_at_rest().await;
}

/// The database lasts as long as its one session does.
#[tokio::test(start_paused = true)]
async fn a_database_in_memory_outlives_a_scope_that_was_too_late() {
    if !DB::ONE_WRITER {
        return; // it is in no memory of ours
    }
    let db = Db::<DB>::connect("sqlite::memory:").await.unwrap();
    db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)").await.unwrap();
    writes(&db, 1).await.unwrap();
    takes_long(&db).await.unwrap_err();
    let rows = db.fetch_all("SELECT id FROM t").await.unwrap();
    assert_eq!(rows.len(), 1);
}
