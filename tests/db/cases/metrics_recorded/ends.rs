//! Metrics of scopes that end by themselves.

use std::time::Duration;

use sqlx::Executor;
use txn::{Error, Tx, transactional};

use super::*;

/// The metrics that a root scope moves once it has begun, whatever becomes of it.
macro_rules! begun {
    ($($more:literal)*) => { concat!(
        "db.client.connection.wait_time 1\n",
        "db.client.connection.use_time 1\n",
        "txn.begin.duration 1\n",
        $($more, "\n"),*
    ) };
}
pub(super) use begun;

#[derive(Clone, Copy, PartialEq)]
enum Do {
    Succeed,
    Fail,
    FailAStatement,
    Ask,
    JoinOneThatFails,
    Join,
    Nest,
    NestOneThatFails,
    NestOneThatAsks,
}

#[transactional(name = "root")]
async fn root(tx: &mut Tx<DB>, what: Do) -> Result<(), Error> {
    insert(tx, 1).await?;
    match what {
        Do::Succeed => {}
        Do::Fail => return Err(sqlx::Error::RowNotFound.into()),
        Do::FailAStatement => insert_twice(tx, 2).await.unwrap_err().ignored(),
        Do::Ask => tx.set_rollback_only("asked for"),
        Do::Join => joined(tx, false).await?,
        Do::JoinOneThatFails => joined(tx, true).await.unwrap_err().ignored(),
        Do::Nest => nested(tx, Do::Succeed).await?,
        Do::NestOneThatFails => nested(tx, Do::Fail).await.unwrap_err().ignored(),
        Do::NestOneThatAsks => nested(tx, Do::Ask).await?,
    }
    Ok(())
}

trait Ignored: Sized {
    fn ignored(self) {}
}

impl<E: std::error::Error> Ignored for E {}

#[transactional(name = "joined")]
async fn joined(_: &mut Tx<DB>, fails: bool) -> Result<(), Error> {
    match fails {
        true => Err(sqlx::Error::RowNotFound.into()),
        false => Ok(()),
    }
}

#[transactional(name = "nested", nested)]
async fn nested(tx: &mut Tx<DB>, what: Do) -> Result<(), Error> {
    match what {
        Do::Fail => return Err(sqlx::Error::RowNotFound.into()),
        Do::Ask => tx.set_rollback_only("asked for"),
        _ => {}
    }
    Ok(())
}

fn done(what: &'static str, act: Do, moves: &'static str) -> Row {
    let path = async move |place: &Place| drop(root(&place.db, act).await);
    row(what, path, moves)
}

#[tokio::test]
async fn of_scopes_that_commit_and_roll_back() {
    check([
        done("committed", Do::Succeed, begun!(
            "txn.commit.duration 1"
            "txn.scope.duration{root root committed end} 1"
        )),
        done("rolled back", Do::Fail, begun!(
            "txn.rollbacks{outcome} 1"
            "txn.scope.duration{root root rolled_back end} 1"
        )),
        done("a failed statement that the body ignores", Do::FailAStatement, begun!(
            "postgresql: txn.rollbacks{aborted} 1"
            "postgresql: txn.scope.duration{root root failed end} 1"
            "mysql|sqlite: txn.commit.duration 1"
            "mysql|sqlite: txn.scope.duration{root root committed end} 1"
        )),
        done("a rollback that was asked for", Do::Ask, begun!(
            "txn.rollbacks{asked} 1"
            "txn.scope.duration{root root rolled_back end} 1"
        )),
    ])
    .await;
}

#[tokio::test]
async fn of_scopes_inside_of_others() {
    check([
        done("joining costs nothing, and moves nothing", Do::Join, begun!(
            "txn.commit.duration 1"
            "txn.scope.duration{root root committed end} 1"
        )),
        done("one that joined has failed", Do::JoinOneThatFails, begun!(
            "txn.rollbacks{joined_scope} 1"
            "txn.scope.duration{root root failed end} 1"
        )),
        done("nested", Do::Nest, begun!(
            "txn.commit.duration 1"
            "txn.scope.duration{nested nested kept end} 1"
            "txn.scope.duration{root root committed end} 1"
        )),
        done("nested, and undone alone", Do::NestOneThatFails, begun!(
            "txn.commit.duration 1"
            "txn.scope.duration{nested nested rolled_back end} 1"
            "txn.scope.duration{root root committed end} 1"
        )),
        done("nested, and asked to be undone", Do::NestOneThatAsks, begun!(
            "txn.commit.duration 1"
            "txn.scope.duration{nested nested rolled_back end} 1"
            "txn.scope.duration{root root committed end} 1"
        )),
        row("on a second session", async |place| outer(&place.db).await.unwrap(), begun!(
            "db.client.connection.wait_time 1"
            "db.client.connection.use_time 1"
            "db.client.connection.create_time 1"
            "db.client.connection.count{idle} 1"
            "txn.sessions.created 1"
            "txn.begin.duration 1"
            "txn.commit.duration 2"
            "txn.scope.duration{outer root committed end} 1"
            "txn.scope.duration{second root committed end} 1"
        )),
    ])
    .await;
}

/// The outer scope only reads, because SQLite, which has one writer, would refuse the inner one
/// otherwise.
#[transactional(name = "outer", read_only)]
async fn outer(tx: &mut Tx<DB>) -> Result<(), Error> {
    number(tx, "SELECT COUNT(*) FROM t").await?;
    second(tx).await
}

#[transactional(name = "second", requires_new)]
async fn second(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[tokio::test]
async fn of_what_is_done_by_hand() {
    check([
        row(
            "a transaction",
            async |place| {
                let mut tx = place.db.begin().await.unwrap();
                insert(&mut tx, 1).await.unwrap();
                tx.commit().await.unwrap();
            },
            begun!(
                "txn.commit.duration 1"
                "txn.scope.duration{a transaction begun by hand root committed end} 1"
            ),
        ),
        row(
            "its rollback",
            async |place| place.db.begin().await.unwrap().rollback().await.unwrap(),
            begun!(
                "txn.rollbacks{outcome} 1"
                "txn.scope.duration{a transaction begun by hand root rolled_back end} 1"
            ),
        ),
        row(
            "a statement in autocommit mode, which is no scope",
            async |place| {
                place.db.execute("SELECT 1").await.unwrap();
            },
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1",
        ),
    ])
    .await;
}

#[transactional(name = "late", timeout = "3s")]
async fn late(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    std::future::pending().await
}

#[transactional(name = "in time", timeout = "3s")]
async fn in_time(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[transactional(name = "around")]
async fn around(tx: &mut Tx<DB>) -> Result<(), Error> {
    late_inside(tx).await.unwrap_err();
    Ok(())
}

#[transactional(name = "late inside", timeout = "1s", nested)]
async fn late_inside(_: &mut Tx<DB>) -> Result<(), Error> {
    std::future::pending().await
}

#[transactional(name = "starving", requires_new, read_only)]
async fn starving(_: &mut Tx<DB>) -> Result<(), Error> {
    unreachable!("there is no second session");
}

#[transactional(name = "asks for another", read_only)]
async fn asks_for_another(tx: &mut Tx<DB>) -> Result<(), Error> {
    starving(tx).await
}

#[tokio::test]
async fn of_a_commit_that_is_answered_when_the_time_is_over() {
    check([
        row(
            "behind its caller",
            async |place| {
                let Some(proxy) = &place.proxy else {
                    return;
                };
                proxy.hold_answer_to("COMMIT");
                assert!(in_time(&place.db).await.unwrap_err().is_commit_unknown());
                proxy.release();
            },
            "mysql|postgresql: db.client.connection.wait_time 1
             mysql|postgresql: db.client.connection.use_time 1
             mysql|postgresql: txn.begin.duration 1
             mysql|postgresql: txn.commit.duration 1
             mysql|postgresql: txn.commit.finished_after_drop{committed} 1
             mysql|postgresql: txn.scope.duration{in time root unknown end} 1",
        ),
    ])
    .await;
}

#[tokio::test]
async fn of_scopes_whose_time_is_over() {
    check([
        row("in the body", async |place| drop(late(&place.db).await.unwrap_err()), begun!(
            "txn.rollbacks{timed_out} 1"
            "txn.scope.duration{late root timed_out end} 1"
        )),
        row("in a nested scope", async |place| around(&place.db).await.unwrap(), begun!(
            "txn.commit.duration 1"
            "txn.scope.duration{late inside nested timed_out end} 1"
            "txn.scope.duration{around root committed end} 1"
        )),
        row(
            "waiting for a session",
            async |place| {
                let session = place.db.session().await.unwrap();
                late(&place.db).await.unwrap_err();
                drop(session);
            },
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1
             db.client.connection.timeouts 1
             txn.scope.duration{late root timed_out waiting} 1",
        )
        .with(|builder| builder.max_sessions(1)),
        row(
            "waiting for a session, as long as the handle lets everybody wait",
            async |place| {
                let session = place.db.session().await.unwrap();
                let error = root(&place.db, Do::Succeed).await.unwrap_err();
                assert!(error.is_acquire_timeout());
                drop(session);
            },
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1
             db.client.connection.timeouts 1
             txn.scope.duration{root root timed_out waiting} 1",
        )
        .with(|builder| builder.max_sessions(1).acquire_timeout(Duration::from_secs(2))),
        row(
            "waiting for a session that nobody could ever give back",
            async |place| drop(asks_for_another(&place.db).await.unwrap_err()),
            begun!(
                "db.client.connection.timeouts 1"
                "txn.rollbacks{outcome} 1"
                "txn.scope.duration{starving root timed_out waiting} 1"
                "txn.scope.duration{asks for another root rolled_back end} 1"
            ),
        )
        .with(|builder| builder.max_sessions(1)),
    ])
    .await;
}
