//! The watch over scopes that are open for too long: it logs a warning for each of them, once.
//!
//! One task watches all scopes of a pool. A scope that opens while there is no task spawns it. The
//! task sleeps until the oldest scope would be overdue, and ends when there is no scope left to
//! watch.
//!
//! It cannot miss a scope. The task clears `running` *before* it looks at the list for the last
//! time; a scope is in the list *before* it reads `running`. Both take the list's locks in between,
//! so at least one of the two sees the other: either the task sees the scope and goes on, or the
//! scope sees that no task is running and spawns one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::Engine;
use crate::model::open_scope::OpenScope;
use crate::pool::{Db, WeakDb};

/// The watch of one pool.
#[derive(Debug)]
pub(crate) struct LongScopeWatch {
    /// After what time an open scope is reported. `None` means never.
    after: Option<Duration>,
    /// A task is running. The head of this file says why no scope is missed. Setting it acquires
    /// and clearing it releases, so that a new task sees everything that the last one did.
    running: AtomicBool,
    /// Ends the task for good, when the pool is closed or dropped.
    stop: CancellationToken,
    /// Tracks the task, so that [`stop`](Self::stop) can wait for it.
    task: TaskTracker,
}

impl LongScopeWatch {
    /// Creates a watch without a task.
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

    /// Returns true to the one caller that has to spawn the task. The load comes first because it
    /// is usually enough, and keeps the cache line shared.
    fn claims_start(&self) -> bool {
        !self.running.load(Ordering::Acquire) && !self.running.swap(true, Ordering::AcqRel)
    }

    /// Ends the task, and waits until it has ended.
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
    /// A scope has opened: makes sure that it is watched.
    pub(super) fn watch_scopes(&self) {
        let watch = self.watch();
        if let Some(after) = watch.after
            && watch.claims_start()
        {
            self.spawn_watch(watch, after);
        }
    }

    /// Spawns the task on the current runtime. If that ends first, the task's guard clears
    /// `running`, and the next scope spawns another.
    fn spawn_watch(&self, watch: &LongScopeWatch, after: Duration) {
        let Ok(here) = Handle::try_current() else {
            return watch.running.store(false, Ordering::Release);
        };
        let (stop, db) = (watch.stop.clone(), self.downgrade());
        let running = RunningGuard(Some(self.downgrade()));
        let watch_over = async move {
            let mut running = running;
            stop.run_until_cancelled(watch_over(db, after)).await;
            // Either the task has cleared `running` itself, or it was stopped for good.
            running.disarm();
        };
        watch.task.spawn_on(watch_over, &here);
    }
}

/// Clears `running` if the task is dropped with its runtime, in any state, even unpolled.
struct RunningGuard<DB: Engine>(Option<WeakDb<DB>>);

impl<DB: Engine> RunningGuard<DB> {
    /// From here on a drop leaves `running` as it is.
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl<DB: Engine> Drop for RunningGuard<DB> {
    fn drop(&mut self) {
        if let Some(db) = self.0.as_ref().and_then(WeakDb::upgrade) {
            db.watch().running.store(false, Ordering::Release);
        }
    }
}

/// Reports overdue scopes until none is left to watch. It holds the `Db` only while it looks.
async fn watch_over<DB: Engine>(db: WeakDb<DB>, after: Duration) {
    while let Some(db) = db.upgrade() {
        let next = db.report_overdue(after).await.or_else(|| {
            // No scope is left to watch. The order of the next two steps is explained above.
            let watch = db.watch();
            watch.running.store(false, Ordering::Release);
            // A scope that opened meanwhile may have spawned another task. Then this one ends.
            let next = db.next_overdue(after)?;
            watch.claims_start().then_some(next)
        });
        drop(db);
        match next {
            Some(next) => sleep_until(next).await,
            None => return,
        }
    }
}

impl<DB: Engine> Db<DB> {
    /// Reports the scopes that are overdue. Returns when the next one will be.
    async fn report_overdue(&self, after: Duration) -> Option<Instant> {
        let mut seen = self.list_scopes(Instant::now().checked_sub(after));
        // The server is asked only if there is something to report.
        if seen.iter().any(|seen| seen.overdue) {
            self.add_lock_waits(&mut seen).await;
        }
        for seen in seen.iter().filter(|seen| seen.overdue) {
            report::<DB>(&seen.scope, after);
        }
        self.next_overdue(after)
    }

    /// Returns when the next scope will be overdue, or `None` if there is none to watch.
    fn next_overdue(&self, after: Duration) -> Option<Instant> {
        let scopes = self.scopes_here().look(None).into_iter();
        let reportable = scopes.filter_map(|seen| seen.holding.filter(|it| it.reportable));
        // A time so late that it cannot be represented never comes.
        let due = reportable.filter_map(|holding| holding.since.checked_add(after));
        due.min()
    }
}

/// Logs the warning for one scope.
fn report<DB: Engine>(scope: &OpenScope, after: Duration) {
    let OpenScope { name, session, .. } = scope;
    tracing::warn!(
        target: "txn", system = DB::SYSTEM, scope = name, session,
        "open for more than {after:?}: {scope}"
    );
}
