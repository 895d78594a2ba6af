//! Metrics of hooks, commits and attempts that fail.

use sqlx::{Connection, Executor};
use txn::{Error, Tx, transactional};

use super::ends::begun;
use super::*;

#[derive(Clone, Copy)]
enum Fails {
    HookBefore,
    HookAfter,
    Commit,
}

#[transactional(name = "fails")]
async fn fails(tx: &mut Tx<DB>, what: Fails) -> Result<(), Error> {
    insert(tx, 1).await?;
    match what {
        Fails::HookBefore => tx.before_commit(|_| Box::pin(async { Err("not balanced".into()) })),
        Fails::HookAfter => tx.after_commit(async { panic!("a hook that panics, for a test") }),
        Fails::Commit => {
            tx.execute("SELECT 1; COMMIT").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn of_hooks_and_commits_that_fail() {
    check([
        row(
            "a hook before the commit",
            async |place| drop(fails(&place.db, Fails::HookBefore).await.unwrap_err()),
            begun!(
                "txn.hooks.failed{before_commit} 1"
                "txn.rollbacks{hook} 1"
                "txn.scope.duration{fails root failed end} 1"
            ),
        ),
        row(
            "a hook after the commit",
            async |place| fails(&place.db, Fails::HookAfter).await.unwrap(),
            begun!(
                "txn.hooks.failed{after} 1"
                "txn.commit.duration 1"
                "txn.scope.duration{fails root committed end} 1"
            ),
        ),
        row(
            "a commit that is refused, as the transaction was ended in its middle",
            async |place| drop(fails(&place.db, Fails::Commit).await.unwrap_err()),
            begun!(
                "txn.rollbacks{aborted} 1"
                "mysql: txn.settle.duration{clean} 1"
                "txn.scope.duration{fails root failed end} 1"
            ),
        ),
        row(
            "a commit whose answer is lost",
            async |place| {
                let Some(proxy) = &place.proxy else {
                    return;
                };
                let mut tx = place.db.begin().await.unwrap();
                insert(&mut tx, 1).await.unwrap();
                proxy.cut_at("COMMIT");
                assert!(tx.commit().await.unwrap_err().is_commit_unknown());
                proxy.release();
            },
            "mysql|postgresql: db.client.connection.wait_time 1
             mysql|postgresql: db.client.connection.use_time 1
             mysql|postgresql: db.client.connection.count{idle} -1
             mysql|postgresql: txn.begin.duration 1
             mysql|postgresql: txn.sessions.closed{broken} 1
             mysql: txn.settle.duration{broken} 1
             mysql|postgresql: txn.scope.duration{a transaction begun by hand root unknown end} 1",
        ),
    ])
    .await;
}

#[transactional(name = "meets others", retry(max_attempts = 3, base_delay = "1ms"))]
async fn meets_others(
    tx: &mut Tx<DB>,
    conflict: Option<&'static str>,
    times: u32,
) -> Result<(), Error> {
    if let (Some(conflict), true) = (conflict, tx.attempt() <= times) {
        tx.execute(conflict).await?;
    }
    Ok(())
}

#[tokio::test]
async fn of_scopes_that_are_tried_again() {
    check([
        row(
            "and succeed",
            async |place| meets_others(&place.db, DB::CONFLICT, 2).await.unwrap(),
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1
             txn.begin.duration 1
             mysql|postgresql: db.client.connection.wait_time 2
             mysql|postgresql: db.client.connection.use_time 2
             mysql|postgresql: txn.begin.duration 2
             mysql|postgresql: txn.retries{meets others} 2
             postgresql: txn.rollbacks{serialization} 2
             mysql: txn.rollbacks{deadlock} 2
             txn.commit.duration 1
             txn.scope.attempts{meets others} 1
             txn.scope.duration{meets others root committed end} 1",
        ),
        row(
            "and do not succeed",
            async |place| drop(meets_others(&place.db, DB::CONFLICT, 9).await),
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1
             txn.begin.duration 1
             mysql|postgresql: db.client.connection.wait_time 2
             mysql|postgresql: db.client.connection.use_time 2
             mysql|postgresql: txn.begin.duration 2
             mysql|postgresql: txn.retries{meets others} 2
             postgresql: txn.rollbacks{serialization} 3
             mysql: txn.rollbacks{deadlock} 3
             sqlite: txn.commit.duration 1
             txn.scope.attempts{meets others} 1
             mysql|postgresql: txn.scope.duration{meets others root rolled_back end} 1
             sqlite: txn.scope.duration{meets others root committed end} 1",
        ),
        row(
            "and cannot begin",
            async |place| {
                if place.proxy.is_some() {
                    return; // Nobody can lock them out of the database.
                }
                let other = <DB as sqlx::Database>::Connection::connect(place.fixture.url());
                let mut other = other.await.unwrap();
                place.db.execute("PRAGMA busy_timeout = 1").await.unwrap();
                other.execute("BEGIN IMMEDIATE").await.unwrap();
                meets_others(&place.db, None, 0).await.unwrap_err();
            },
            "sqlite: db.client.connection.wait_time 4
             sqlite: db.client.connection.use_time 4
             sqlite: txn.retries{meets others} 2
             sqlite: txn.settle.duration{clean} 3
             sqlite: txn.scope.attempts{meets others} 1
             sqlite: txn.scope.duration{meets others root failed beginning} 1",
        )
        .with(|builder| builder.max_sessions(1)),
    ])
    .await;
}
