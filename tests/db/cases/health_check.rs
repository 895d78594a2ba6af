//! `Db::check` answers in every situation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::UnixListener;
use tokio::task::yield_now;
use tokio::time::timeout;
use txn::Breaker;

use super::{DB, Fixture, insert};
use crate::support::drop_points::is_pending;
use crate::support::drop_trial::Trial;
use crate::support::observer::{PATIENCE, until};
use crate::support::route::Route;

#[tokio::test]
async fn a_session_of_the_pool_is_asked_if_one_is_free() {
    let db = Fixture::<DB>::of_sessions(2).await;
    db.check().await.unwrap();
    db.assert_sessions(1, 1, 0, 0);
    db.close().await;
    assert!(db.check().await.unwrap_err().is_closed());
}

#[tokio::test]
async fn an_exhausted_pool_is_no_failure_and_is_not_waited_for() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut held = db.begin().await.unwrap();
    insert(&mut held, 1).await.unwrap();
    let mut waiting = Box::pin(db.begin());
    assert!(is_pending(&mut waiting).await);

    for checked in join_all((0..5).map(|_| db.check())).await {
        checked.unwrap();
    }

    db.assert_sessions(1, 0, 1, 1);
    held.commit().await.unwrap();
    waiting.await.unwrap().rollback().await.unwrap();
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
}

/// A check tries to connect whether or not the breaker is open.
#[tokio::test]
async fn out_of_reach_it_says_so_and_back_again_it_closes_the_breaker() {
    let route = Route::<DB>::new().await;
    let db = route
        .connect(|builder| builder.max_sessions(1).breaker_after(Duration::ZERO))
        .await;
    let held = db.session().await.unwrap();
    route.block();
    for _ in 0..5 {
        let error = db.check().await.unwrap_err();
        assert!(error.is_connection() && !error.is_unavailable(), "{error}");
    }
    assert_eq!(db.status().breaker, Breaker::Open);
    route.unblock();
    db.check().await.unwrap();
    assert_eq!(db.status().breaker, Breaker::Closed);
    drop(held);
    route.block();
    db.check().await.expect("a session is alive");
    route.unblock();
    db.close().await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_the_check_timeout_and_no_more() {
    let route = Route::<DB>::new().await;
    let Some(proxy) = &route.proxy else { return };
    let limit = Duration::from_millis(100);
    let db = route
        .connect(|builder| builder.max_sessions(2).check_timeout(limit))
        .await;
    proxy.stall();
    let checks = join_all((0..3).map(|_| db.check()));
    let checked = timeout(PATIENCE, checks).await.expect("bounded");
    for checked in checked {
        let error = checked.unwrap_err();
        assert!(error.is_connection(), "{error}");
        assert!(error.to_string().ends_with("no answer within 100ms"), "{error}");
    }
    proxy.release();
    db.settled().await;
    // The limit is short for a busy machine.
    until("the server answers in time", async || db.check().await.is_ok()).await;
    db.close().await;
}

/// The server may be slow, and would have answered a caller in time.
#[tokio::test]
async fn checks_in_haste_say_nothing_about_the_server() {
    let route = Route::<DB>::new().await;
    let limit = Duration::from_millis(100);
    let db = route
        .connect(|builder| {
            builder.max_sessions(1).check_timeout(limit).breaker_after(Duration::ZERO)
        })
        .await;
    let held = db.session().await.unwrap();
    let Some(_silent) = route.replace() else { return };
    for _ in 0..3 {
        let error = db.check().await.unwrap_err();
        assert!(error.to_string().ends_with("no answer within 100ms"), "{error}");
    }
    join_all((0..3).map(|_| db.check())).await;
    assert_eq!(db.status().breaker, Breaker::Closed);
    drop(held);
}

/// After a failover that nobody was told of, all idle sessions are silent. One of them is asked.
#[tokio::test]
async fn sessions_that_are_all_silent_leave_it_the_time_to_connect() {
    let route = Route::<DB>::new().await;
    let Some(proxy) = &route.proxy else { return };
    let limit = Duration::from_secs(12);
    let db = route
        .connect(|builder| builder.max_sessions(3).check_timeout(limit))
        .await;
    let sessions = [db.session().await.unwrap(), db.session().await.unwrap()];
    drop(sessions);
    proxy.hold_answers_of(1);
    proxy.hold_answers_of(2);
    db.check_writable().await.expect("a new connection is served");
    proxy.release();
    db.close().await;
}

/// The check is dropped on a session of the pool, and on a connection of its own.
#[tokio::test]
async fn dropped_anywhere_it_leaves_nothing_behind() {
    let mut trial = Trial::<DB>::of_sessions(1).await.in_pieces_of(9);
    for exhausted in [false, true] {
        trial
            .at_every_point(async |trial, point| {
                let held = match exhausted {
                    true => Some(trial.session().await.unwrap()),
                    false => None,
                };
                let complete = trial.drop_at(point, trial.check()).await;
                drop(held);
                trial.assert_recovered(point).await;
                trial.check().await.unwrap();
                complete.is_some()
            })
            .await;
    }
}

/// The other checks wait for their turn, and for nothing else.
#[tokio::test]
async fn it_has_one_connection_of_its_own_at_most() {
    let route = Route::<DB>::new().await;
    let db = route.connect(|builder| builder.max_sessions(1)).await;
    let Some(silent) = route.replace() else { return };
    let accepted = Accepted::count(silent);
    let held = db.session().await.unwrap();
    for connections in 1..=3 {
        let (mut first, mut second) = (Box::pin(db.check()), Box::pin(db.check()));
        until("the first has connected", async || {
            assert!(is_pending(&mut first).await);
            accepted.so_far() == connections
        })
        .await;
        for _ in 0..20 {
            assert!(is_pending(&mut second).await);
            yield_now().await;
        }
        assert_eq!(accepted.so_far(), connections);
    }
    drop(held);
}

/// The number of connections that a listener has accepted which says nothing.
struct Accepted(Arc<AtomicUsize>);

impl Accepted {
    fn count(listener: UnixListener) -> Self {
        let so_far = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&so_far);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok(accepted) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.push(accepted);
            }
        });
        Self(so_far)
    }

    fn so_far(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
