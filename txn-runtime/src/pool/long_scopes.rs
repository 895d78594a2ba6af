//! Reports scopes that are open for too long.
//!
//! One task for all, started by a scope that opens while there is none. It sleeps until the oldest would be due, and ends when
//! none is left. It cannot miss one: it says that it ends before it looks a last time, and a scope is in the list before it asks
//! whether somebody watches; both take the list's locks in between, so that one of the two sees the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::Engine;
use crate::model::open_scope::OpenScope;
use crate::pool::{Db, WeakDb};

#[derive(Debug)]
pub(crate) struct LongScopeWatch {
    after: Option<Duration>,
    running: AtomicBool,
    stop: CancellationToken,
    task: TaskTracker,
}

impl LongScopeWatch {
    pub(crate) fn new(after: Option<Duration>) -> Self {
        let task = TaskTracker::new();
        task.close();
        Self {
            after,
            running: AtomicBool::new(false),
            stop: CancellationToken::new(),
            task,
        }
    }

    /// True for the one who is to start the task.
    fn starts(&self) -> bool {
        !self.running.load(Ordering::Acquire) && !self.running.swap(true, Ordering::AcqRel)
    }

    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.task.wait().await;
    }
}

impl Drop for LongScopeWatch {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl<DB: Engine> Db<DB> {
    /// A scope has opened.
    pub(super) fn watch_scopes(&self) {
        let watch = self.watch();
        if let Some(after) = watch.after
            && watch.starts()
        {
            self.start(watch, after);
        }
    }

    /// On the runtime that the scope was opened on. If that ends first, the next scope starts it again.
    fn start(&self, watch: &LongScopeWatch, after: Duration) {
        let Ok(here) = Handle::try_current() else {
            return watch.running.store(false, Ordering::Release);
        };
        let (stop, db) = (watch.stop.clone(), self.downgrade());
        let watching = Watching(Some(self.downgrade()));
        let watch_over = async move {
            let mut watching = watching;
            stop.run_until_cancelled(watch_over(db, after)).await;
            // Done, or stopped for good: no place is left.
            watching.done();
        };
        watch.task.spawn_on(watch_over, &here);
    }
}

/// Dropped before it is done, it leaves its place to another.
struct Watching<DB: Engine>(Option<WeakDb<DB>>);

impl<DB: Engine> Watching<DB> {
    fn done(&mut self) {
        self.0 = None;
    }
}

impl<DB: Engine> Drop for Watching<DB> {
    fn drop(&mut self) {
        if let Some(db) = self.0.as_ref().and_then(WeakDb::upgrade) {
            db.watch().running.store(false, Ordering::Release);
        }
    }
}

/// Holds the `Db` only while it looks.
async fn watch_over<DB: Engine>(db: WeakDb<DB>, after: Duration) {
    while let Some(db) = db.upgrade() {
        let next = db.report_overdue(after).await.or_else(|| {
            let watch = db.watch();
            watch.running.store(false, Ordering::Release);
            let next = db.next_overdue(after)?;
            watch.starts().then_some(next)
        });
        drop(db);
        match next {
            Some(next) => sleep_until(next).await,
            None => return,
        }
    }
}

impl<DB: Engine> Db<DB> {
    /// Reports what is overdue; returns when the next one will be.
    async fn report_overdue(&self, after: Duration) -> Option<Instant> {
        let mut seen = self.look(Instant::now().checked_sub(after));
        if seen.iter().any(|seen| seen.overdue) {
            self.see_locks(&mut seen).await;
        }
        for seen in seen.iter().filter(|seen| seen.overdue) {
            report::<DB>(&seen.scope, after);
        }
        self.next_overdue(after)
    }

    fn next_overdue(&self, after: Duration) -> Option<Instant> {
        let seen = self.look(None).into_iter();
        let reportable = seen.filter_map(|seen| seen.holding.filter(|it| it.reportable));
        // One that is due in a thousand years is never.
        let due = reportable.filter_map(|holding| holding.since.checked_add(after));
        due.min()
    }
}

fn report<DB: Engine>(scope: &OpenScope, after: Duration) {
    let OpenScope { name, session, .. } = scope;
    tracing::warn!(target: "txn", system = DB::SYSTEM, scope = name, session, "open for more than {after:?}: {scope}");
}
