//! What is reported of a scope that is open for too long.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use txn::{Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert};
use crate::events::Warnings;
use crate::observe::until;

const SOON: Duration = Duration::from_millis(5);
const NEVER: Duration = Duration::from_secs(3600);
const REPORT: &str = "open for more than 5ms";

async fn watched() -> Fixture<DB> {
    Fixture::<DB>::with(|builder| builder.max_sessions(3).warn_after(SOON)).await
}

#[transactional(read_only, name = "reader")]
async fn reader(_tx: &mut Tx<DB>, ends: &Notify) -> Result<(), Error> {
    ends.notified().await;
    Ok(())
}

#[tokio::test]
async fn a_scope_that_is_open_for_too_long_is_reported_once_with_its_line() {
    let warnings = Warnings::listen();
    let db = watched().await;
    let session = db.session().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    until("it is reported", async || warnings.with(REPORT) == 1).await;
    let all = warnings.all();
    let line = all.iter().find(|line| line.contains(REPORT)).unwrap();
    let scope = format!("`a transaction begun by hand` ({}:", file!());
    for part in [scope.as_str(), "between statements, ", "session "] {
        assert!(line.contains(part), "{line}");
    }

    // When the next one is, it was looked at again.
    let ends = Notify::new();
    let reported = async {
        let reader = || warnings.with(REPORT) == 2;
        until("the other one is reported", async || reader()).await;
        ends.notify_one();
    };
    tokio::join!(reader(&*db, &ends), reported).0.unwrap();
    assert_eq!(warnings.with("`reader`"), 1);
    assert_eq!(warnings.with("`a transaction begun by hand`"), 1);
    assert_eq!(warnings.with("autocommit"), 0);
    drop(session);
    tx.commit().await.unwrap();
    db.assert_at_rest().await;
    assert_eq!(warnings.with(REPORT), 2);
}

#[tokio::test]
async fn one_that_is_reported_in_its_hooks_is_reported_once_too() {
    let warnings = Warnings::listen();
    let db = watched().await;
    let go = Arc::new(Notify::new());
    let hook = Arc::clone(&go);
    let mut tx = db.begin().await.unwrap();
    tx.after_commit(async move { hook.notified().await });
    let reported = async {
        until("it is reported", async || warnings.with(REPORT) == 1).await;
        let later = db.session().await.unwrap(); // looked at again
        let ends = Notify::new();
        ends.notify_one();
        reader(&*db, &ends).await.unwrap();
        drop(later);
        go.notify_one();
    };
    tokio::join!(tx.commit(), reported).0.unwrap();
    assert_eq!(warnings.with(REPORT), 1);
}

/// A pool has a task that closes what is idle.
const KEEPER: usize = 1;

/// The tasks of this runtime; the drivers have none.
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
    let db = watched().await;
    for reports in 1..=3 {
        let tx = db.begin().await.unwrap();
        until("it is reported", async || warnings.with(REPORT) == reports).await;
        until("there is nothing to watch", async || tasks() == KEEPER).await;
        tx.commit().await.unwrap();
    }
    assert_eq!(warnings.with(REPORT), 3);
}

/// What is seen of the server is in the line.
#[tokio::test]
async fn a_statement_that_hangs_is_reported_as_one() {
    let warnings = Warnings::listen();
    let db = watched().await;
    let mut tx = db.begin().await.unwrap();
    let mut slow = sqlx::Executor::execute(&mut tx, DB::SLOW_QUERY);
    assert!(crate::polls::is_pending(&mut slow).await);
    until("it is reported", async || {
        warnings.with("running a statement, 1 statement") == 1
    })
    .await;
    drop(slow);
    drop(tx);
    db.assert_at_rest().await;
}
