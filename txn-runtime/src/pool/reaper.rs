//! The reaper: closes sessions that were idle for too long or are too old, has others opened so
//! that enough are idle, and notices the end of a runtime.
//!
//! There is one reaper task on each runtime on which sessions were opened. It is spawned with the
//! first of them, holds the `Db` only while it looks, and ends when the `Db` is closed or dropped.
//!
//! If its runtime ends before that, the task is dropped. Every connection that was opened on that
//! runtime is then dead, so the drop begins a new epoch, in which each session is checked before it
//! is used.

use std::future::pending;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::select;
use tokio::runtime::{Handle, Id};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::{Db, WeakDb};
use crate::engine::{Engine, clock};
use crate::model::labels::CloseReason;
use crate::pool::session::Pooled;

/// The time after which it is looked whether the sessions that were to be idle have been opened.
const SPARE_PAUSE: Duration = Duration::from_secs(1);
/// The shortest time between two looks at the pool.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The runtimes on which a reaper of this pool runs. A runtime is on the list from before its
/// reaper is spawned until that is dropped, so a runtime that is not on it has ended.
#[derive(Debug, Default)]
pub(super) struct Reapers(Mutex<Vec<Id>>);

impl Reapers {
    /// Registers a reaper. Returns true to the one caller that has to spawn it.
    fn register(&self, runtime: Id) -> bool {
        let mut runtimes = self.lock();
        let is_new = !runtimes.contains(&runtime);
        if is_new {
            runtimes.push(runtime);
        }
        is_new
    }

    /// Returns true if a reaper runs on `runtime`, so that connections opened there are alive.
    fn contains(&self, runtime: Id) -> bool {
        self.lock().contains(&runtime)
    }

    /// Takes a reaper off the list, because it has ended.
    fn remove(&self, runtime: Id) {
        self.lock().retain(|id| *id != runtime);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Id>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guard of a reaper task. If it is dropped while the `Db` still exists, its runtime has ended,
/// or the `Db` was closed.
struct Reaper<DB: Engine> {
    /// It keeps nothing alive.
    db: WeakDb<DB>,
    /// The runtime on which the task runs.
    runtime: Id,
}

impl<DB: Engine> Drop for Reaper<DB> {
    fn drop(&mut self) {
        // After `close` this does no harm: there is no session left to be checked.
        if let Some(db) = self.db.upgrade() {
            // In this order: a session that is checked because of the new epoch must not find its
            // runtime in the list.
            db.shared.reapers.remove(self.runtime);
            db.epochs().advance();
        }
    }
}

impl<DB: Engine> Db<DB> {
    /// Spawns a reaper on the current runtime, unless there is one. Called before a session is
    /// opened on this runtime, and when one goes on to be used on it.
    pub(crate) fn ensure_reaper(&self) {
        let Ok(here) = Handle::try_current() else {
            return;
        };
        if !self.shared.reapers.register(here.id()) {
            return;
        }
        let closing = self.connector().closing.clone();
        let reaper = Reaper {
            db: self.downgrade(),
            runtime: here.id(),
        };
        here.spawn(async move { closing.run_until_cancelled(reap_for_ever(&reaper.db)).await });
    }

    /// Returns true if a runtime on which sessions were opened has not ended.
    pub(crate) fn is_alive(&self, runtime: Id) -> bool {
        self.shared.reapers.contains(runtime)
    }

    /// Closes the idle sessions that are due. Returns after what time more of them may be.
    fn reap(&self) -> Option<Duration> {
        let (connector, now) = (self.connector(), Instant::now());
        // Sessions that are checked out now may be due when they are back, so it looks again soon.
        let mut next = connector.shortest_life().map(|life| life / 2);
        // The reasons, in the order in which `retain` removes the sessions.
        let mut why = Vec::new();
        // How many may be closed for being idle.
        let sessions = self.sessions();
        let mut spare = sessions.figures().idle.saturating_sub(sessions.min_idle);
        let mut keeps = |pooled: &Pooled<DB>| match connector.time_left(pooled, now) {
            Ok(left) => {
                next = next.into_iter().chain(left).min();
                true
            }
            Err(CloseReason::IdleTimeout) if spare == 0 => true,
            Err(closed) => {
                why.push(closed);
                spare = spare.saturating_sub(1);
                false
            }
        };
        // `close` waits for this token, and then for the goodbyes, which go on when it ends the
        // reaper.
        let _closing = self.hooks_run();
        let due = sessions.retain(|pooled| keeps(pooled));
        let limit = self.settle_timeout();
        for ((slot, pooled), why) in due.into_iter().zip(why) {
            self.spawn_here(async move {
                pooled.retire(why, limit).await;
                drop(slot);
            });
        }
        next
    }

    /// Has sessions opened until enough are idle. Returns true if too few are: opening them may
    /// fail, and is to be tried again then.
    ///
    /// An attempt is over at once if this runtime is shutting down, so there are not more of them
    /// than sessions that are to be idle.
    fn open_spare(&self) -> bool {
        for _ in 0..self.sessions().min_idle {
            if !self.sessions().begin_spare() || !self.open_in_background(None) {
                break;
            }
        }
        self.sessions().awaits_spare()
    }
}

/// Reaps until the `Db` is dropped. Between two looks it holds no handle.
async fn reap_for_ever<DB: Engine>(db: &WeakDb<DB>) {
    while let Some(db) = db.upgrade() {
        let due = db.reap();
        let again = db.open_spare().then_some(SPARE_PAUSE);
        let short = db.sessions().short();
        drop(db);
        let pause = async {
            match due.into_iter().chain(again).min() {
                // While tokio's clock is paused, sleeping here would make it jump ahead.
                Some(next) if !clock::is_paused() => sleep(next.max(SHORTEST_PAUSE)).await,
                // No timeouts are set, or the clock is paused; whoever takes a session looks at
                // its age anyway.
                _ => pending().await,
            }
        };
        select(pin!(pause), pin!(short.notified())).await;
        // Its runtime may be shutting down, and drop at once whatever is spawned. The task is
        // dropped too, but only where it yields.
        yield_now().await;
    }
}
