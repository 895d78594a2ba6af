//! A scope that is open for too long is reported.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use txn::{Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert};
use crate::support::observer::until;
use crate::support::warnings::Warnings;

/// The limits that a test tries in turn. A scope is reported where it happens to be when its limit
/// is over. On a busy machine that may be before it is where the test wants it; then the test runs
/// again with a longer limit.
const LIMITS: [Duration; 5] = [
    Duration::from_millis(5),
    Duration::from_millis(50),
    Duration::from_millis(500),
    Duration::from_secs(5),
    Duration::from_secs(50),
];
const SOON: Duration = LIMITS[0];
const NEVER: Duration = Duration::from_secs(3600);
const BY_HAND: &str = "`a transaction begun by hand`";

async fn watched(limit: Duration) -> Fixture<DB> {
    Fixture::<DB>::with(|builder| builder.max_sessions(3).warn_after(limit)).await
}

/// Runs the trial with one limit after the other until one was long enough.
async fn with_a_limit(mut trial: impl AsyncFnMut(Duration) -> bool) {
    for limit in LIMITS {
        if trial(limit).await {
            return;
        }
    }
    panic!("reported too early each time");
}

/// The reports about this scope.
fn reports(warnings: &Warnings, scope: &str) -> Vec<String> {
    let mut all = warnings.all();
    all.retain(|line| line.contains("open for more than ") && line.contains(scope));
    all
}

/// Returns the one report about a scope, as soon as there is one.
async fn reported(warnings: &Warnings, scope: &str) -> String {
    until("it is reported", async || {
        !reports(warnings, scope).is_empty()
    })
    .await;
    let mut all = reports(warnings, scope);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[transactional(read_only, name = "reader")]
async fn reader(_tx: &mut Tx<DB>, ends: &Notify) -> Result<(), Error> {
    ends.notified().await;
    Ok(())
}

#[tokio::test]
async fn a_scope_that_is_open_for_too_long_is_reported_once_with_its_line() {
    with_a_limit(async |limit| {
        let warnings = Warnings::listen();
        let db = watched(limit).await;
        let session = db.session().await.unwrap();
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        let line = reported(&warnings, BY_HAND).await;
        let is_in_time = line.contains("between statements, 1 statement");
        let scope = format!("`a transaction begun by hand` ({}:", file!());
        let limit = format!("open for more than {limit:?}: ");
        for part in [&*scope, &*limit, "session "] {
            assert!(line.contains(part), "{line}");
        }

        // The scope was looked at again by the time that the next one is reported.
        let ends = Notify::new();
        let other = async {
            reported(&warnings, "`reader`").await;
            ends.notify_one();
        };
        tokio::join!(reader(&*db, &ends), other).0.unwrap();
        assert_eq!(reports(&warnings, "autocommit"), [""; 0]);
        drop(session);
        tx.commit().await.unwrap();
        db.assert_at_rest().await;
        assert_eq!(reports(&warnings, BY_HAND).len(), 1);
        assert_eq!(reports(&warnings, "`reader`").len(), 1);
        is_in_time
    })
    .await;
}

#[tokio::test]
async fn one_that_is_reported_in_its_hooks_is_reported_once_too() {
    with_a_limit(async |limit| {
        let warnings = Warnings::listen();
        let db = watched(limit).await;
        let go = Arc::new(Notify::new());
        let hook = Arc::clone(&go);
        let mut tx = db.begin().await.unwrap();
        tx.after_commit(async move { hook.notified().await });
        let looked = async {
            let line = reported(&warnings, BY_HAND).await;
            // The scope was looked at again by the time that the next one is reported.
            let ends = Notify::new();
            let other = async {
                reported(&warnings, "`reader`").await;
                ends.notify_one();
            };
            tokio::join!(reader(&*db, &ends), other).0.unwrap();
            go.notify_one();
            line.contains("running its hooks")
        };
        let (committed, is_in_time) = tokio::join!(tx.commit(), looked);
        committed.unwrap();
        assert_eq!(reports(&warnings, BY_HAND).len(), 1);
        is_in_time
    })
    .await;
}

/// The number of tasks of a pool: one closes what is idle.
const KEEPER: usize = 1;

/// Counts the tasks of this runtime; the drivers have none.
fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn one_task_watches_and_it_ends_with_the_handle() {
    let others = tasks();
    let limits = [None, Some(NEVER), Some(Duration::MAX)];
    for (limit, watchers) in limits.into_iter().zip([0, 1, 0]) {
        let db = Fixture::<DB>::with(|builder| builder.max_sessions(3).warn_after(limit)).await;
        for _ in 0..3 {
            let tx = db.begin().await.unwrap();
            drop(db.session().await.unwrap());
            tx.commit().await.unwrap();
        }
        tokio::task::yield_now().await;
        assert_eq!(tasks() - others, KEEPER + watchers, "{limit:?}");
        db.close().await;
        until("the task has ended", async || tasks() == others).await;
    }
    let db = Fixture::<DB>::with(|builder| builder.warn_after(NEVER)).await;
    db.begin().await.unwrap().commit().await.unwrap();
    drop(db);
    until("no task is left", async || tasks() == others).await;
}

#[tokio::test]
async fn the_watch_ends_when_nothing_is_open_and_begins_again() {
    let warnings = Warnings::listen();
    let db = watched(SOON).await;
    for times in 1..=3 {
        let tx = db.begin().await.unwrap();
        let of_this = || reports(&warnings, BY_HAND).len() == times;
        until("it is reported", async || of_this()).await;
        until("there is nothing to watch", async || tasks() == KEEPER).await;
        tx.commit().await.unwrap();
    }
    assert_eq!(reports(&warnings, BY_HAND).len(), 3);
}

/// The report has what is seen on the server.
#[tokio::test]
async fn a_statement_that_hangs_is_reported_as_one() {
    with_a_limit(async |limit| {
        let warnings = Warnings::listen();
        let db = watched(limit).await;
        let mut tx = db.begin().await.unwrap();
        let mut slow = sqlx::Executor::execute(&mut tx, DB::SLOW_QUERY);
        assert!(crate::support::drop_points::is_pending(&mut slow).await);
        let line = reported(&warnings, BY_HAND).await;
        drop(slow);
        drop(tx);
        db.assert_at_rest().await;
        line.contains("running a statement, 1 statement")
    })
    .await;
}
