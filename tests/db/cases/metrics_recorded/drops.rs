//! Metrics of scopes whose caller is dropped, and of bodies that panic.

use std::panic::AssertUnwindSafe;

use sqlx::{Connection, Executor};
use tokio::select;
use tokio::sync::oneshot::{Receiver, Sender, channel};
use txn::{Error, Tx, transactional};

use super::ends::begun;
use super::*;
use crate::support::drop_points::is_pending;
use crate::support::observer::until;

/// The metrics that a session moves which is settled after an operation was dropped in flight.
macro_rules! settled_in_flight {
    () => {
        "postgresql|sqlite: txn.settle.duration{clean} 1
         mysql: txn.settle.duration{dropped_operation} 1
         mysql: txn.sessions.closed{dropped_operation} 1
         mysql: db.client.connection.count{idle} -1"
    };
}

#[derive(Clone, Copy, PartialEq)]
enum Stop {
    InBody,
    InStatement,
    InNested,
    BeforeCommit,
    AfterCommit,
    AtCommit,
    AtRollback,
    Panic,
}

#[transactional(name = "stops")]
async fn stops(
    tx: &mut Tx<DB>,
    at: Stop,
    there: Sender<()>,
    go_on: Receiver<()>,
) -> Result<(), Error> {
    insert(tx, 1).await?;
    match at {
        Stop::InBody => wait(there, go_on).await,
        Stop::InStatement => {
            there.send(()).unwrap();
            tx.execute(DB::SLOW_QUERY).await?;
        }
        Stop::InNested => {
            let (inside, is_inside) = channel();
            select! {
                biased;
                _ = nested(tx, inside, go_on) => panic!("it did not stop"),
                told = is_inside => told.unwrap(),
            }
        }
        Stop::BeforeCommit => tx.before_commit(|_| {
            Box::pin(async move {
                wait(there, go_on).await;
                Ok(())
            })
        }),
        Stop::AfterCommit => tx.after_commit(wait(there, go_on)),
        Stop::AtCommit => {}
        Stop::AtRollback => return Err(sqlx::Error::RowNotFound.into()),
        Stop::Panic => panic!("a body that panics, for a test"),
    }
    Ok(())
}

#[transactional(name = "nested", nested)]
async fn nested(_: &mut Tx<DB>, there: Sender<()>, go_on: Receiver<()>) -> Result<(), Error> {
    wait(there, go_on).await;
    Ok(())
}

async fn wait(there: Sender<()>, go_on: Receiver<()>) {
    there.send(()).unwrap();
    go_on.await.ok();
}

/// Runs the scope until it is at this point, drops it, and lets what was dropped go on.
async fn drop_there(place: &Place, at: Stop) {
    let (there, is_there) = channel();
    let (go_on, goes_on) = channel();
    select! {
        biased;
        _ = stops(&place.db, at, there, goes_on) => panic!("it did not stop"),
        told = is_there => told.unwrap(),
    }
    go_on.send(()).ok();
}

/// Runs the scope until the answer to `word` is held back, and drops it.
async fn drop_at(place: &Place, at: Stop, word: &'static str) {
    let Some(proxy) = &place.proxy else {
        return;
    };
    let (there, _is_there) = channel();
    let (_go_on, goes_on) = channel();
    proxy.hold_answer_to(word);
    select! {
        _ = stops(&place.db, at, there, goes_on) => panic!("complete without an answer"),
        () = proxy.holding() => {}
    }
    proxy.release();
}

/// Drops the scope at its BEGIN. Without a wire, somebody else is the one writer.
async fn drop_at_begin(place: &Place) {
    let word = match DB::SYSTEM {
        "mysql" => "START TRANSACTION",
        _ => "BEGIN",
    };
    if place.proxy.is_some() {
        return drop_at(place, Stop::InBody, word).await;
    }
    let mut other = <DB as sqlx::Database>::Connection::connect(place.fixture.url()).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let (there, _is_there) = channel();
    let (_go_on, goes_on) = channel();
    let mut scope = Box::pin(stops(&place.db, Stop::InBody, there, goes_on));
    assert!(is_pending(&mut scope).await);
    assert_eq!(place.db.status().in_use, 1);
    drop(scope);
    other.execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn of_scopes_that_are_dropped_before_their_end() {
    check([
        row(
            "waiting for a session",
            async |place| {
                let session = place.db.session().await.unwrap();
                let mut waits = Box::pin(place.db.begin());
                assert!(is_pending(&mut waits).await);
                drop(waits);
                drop(session);
            },
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1
             txn.scope.duration{a transaction begun by hand root dropped waiting} 1",
        )
        .with(|builder| builder.max_sessions(1)),
        row("in BEGIN", async |place| drop_at_begin(place).await, concat!(
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1
             txn.scope.duration{stops root dropped beginning} 1
             ", settled_in_flight!(),
        )),
        row("in the body", async |place| drop_there(place, Stop::InBody).await, begun!(
            "txn.rollbacks{dropped} 1"
            "txn.scope.duration{stops root dropped body} 1"
            "txn.settle.duration{clean} 1"
        )),
        row("in a statement", async |place| drop_there(place, Stop::InStatement).await, concat!(
            begun!(
                "txn.rollbacks{dropped} 1"
                "txn.scope.duration{stops root dropped statement} 1"
            ),
            settled_in_flight!(),
        )),
        row(
            "in a nested scope that is given up alone",
            async |place| {
                let (there, _is_there) = channel();
                let (_go_on, goes_on) = channel();
                stops(&place.db, Stop::InNested, there, goes_on).await.unwrap();
            },
            begun!(
                "txn.commit.duration 1"
                "txn.scope.duration{stops root committed end} 1"
                "txn.scope.duration{nested nested dropped body} 1"
            ),
        ),
    ])
    .await;
}

#[tokio::test]
async fn of_scopes_that_are_dropped_in_their_end() {
    check([
        row(
            "in a hook before the COMMIT",
            async |place| drop_there(place, Stop::BeforeCommit).await,
            begun!(
                "txn.commit.duration 1"
                "txn.commit.finished_after_drop{committed} 1"
                "txn.scope.duration{stops root dropped committing} 1"
            ),
        ),
        row("in the COMMIT", async |place| drop_at(place, Stop::AtCommit, "COMMIT").await, {
            "mysql|postgresql: db.client.connection.wait_time 1
             mysql|postgresql: db.client.connection.use_time 1
             mysql|postgresql: txn.begin.duration 1
             mysql|postgresql: txn.commit.duration 1
             mysql|postgresql: txn.commit.finished_after_drop{committed} 1
             mysql|postgresql: txn.scope.duration{stops root dropped committing} 1"
        }),
        row("in the ROLLBACK", async |place| drop_at(place, Stop::AtRollback, "ROLLBACK").await, {
            "mysql|postgresql: db.client.connection.wait_time 1
             mysql|postgresql: db.client.connection.use_time 1
             mysql|postgresql: txn.begin.duration 1
             mysql|postgresql: txn.rollbacks{outcome} 1
             mysql|postgresql: txn.scope.duration{stops root dropped rolling_back} 1"
        }),
        row(
            "in a hook after the COMMIT",
            async |place| drop_there(place, Stop::AfterCommit).await,
            begun!(
                "txn.commit.duration 1"
                "txn.scope.duration{stops root dropped hooks} 1"
            ),
        ),
        row(
            "in a COMMIT that is not answered in time",
            async |place| {
                let (there, is_there) = channel();
                // Nobody tells the scope to go on.
                let (_go_on, goes_on) = channel();
                select! {
                    biased;
                    _ = stops(&place.db, Stop::BeforeCommit, there, goes_on) => {
                        panic!("it did not stop")
                    }
                    told = is_there => told.unwrap(),
                }
                place.db.settled().await;
            },
            begun!(
                "txn.commit.finished_after_drop{unknown} 1"
                "txn.settle.duration{clean} 1"
                "txn.scope.duration{stops root dropped committing} 1"
            ),
        )
        .with(|builder| builder.settle_timeout(std::time::Duration::from_millis(500))),
    ])
    .await;
}

#[tokio::test]
async fn of_a_body_that_panics() {
    check([row(
        "a panic",
        async |place| {
            let (there, _is_there) = channel();
            let (_go_on, goes_on) = channel();
            let scope = stops(&place.db, Stop::Panic, there, goes_on);
            AssertUnwindSafe(scope).catch_unwind().await.unwrap_err();
        },
        begun!(
            "txn.rollbacks{panicked} 1"
            "txn.scope.duration{stops root panicked body} 1"
            "txn.settle.duration{clean} 1"
        ),
    )])
    .await;
}

#[transactional(name = "pauses", retry(max_attempts = 2, base_delay = "1h", max_delay = "1h"))]
async fn pauses(tx: &mut Tx<DB>, conflict: &'static str) -> Result<(), Error> {
    tx.execute(conflict).await?;
    Ok(())
}

#[tokio::test]
async fn of_a_scope_that_is_dropped_between_two_attempts() {
    check([row(
        "in the pause",
        async |place| {
            let Some(conflict) = DB::CONFLICT else {
                return; // Its conflicts are those of BEGIN.
            };
            let mut begun = false;
            let is_over = until("the first attempt is over", async || {
                let in_use = place.db.status().in_use;
                begun |= in_use == 1;
                begun && in_use == 0
            });
            select! {
                biased;
                _ = pauses(&place.db, conflict) => panic!("it did not pause"),
                () = is_over => {}
            }
        },
        "mysql|postgresql: db.client.connection.wait_time 1
         mysql|postgresql: db.client.connection.use_time 1
         mysql|postgresql: txn.begin.duration 1
         postgresql: txn.rollbacks{serialization} 1
         mysql: txn.rollbacks{deadlock} 1
         mysql|postgresql: txn.scope.duration{pauses root dropped pausing} 1
         mysql|postgresql: txn.scope.attempts{pauses} 1",
    )])
    .await;
}
