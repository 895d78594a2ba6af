//! Keeps the sessions of a pool: closes those that have lain there for too long or are too old, and notices the end of a runtime.
//!
//! One task on each runtime that sessions were opened on, started with the first. It holds the `Db` only while it looks, and ends with
//! that. If its runtime ends before, so does every connection that was opened there: a new era begins, in which each session is looked
//! at before it is used.

use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id};
use tokio::time::{sleep, timeout};

use super::{Db, WeakDb};
use crate::engine::{Engine, clock};
use crate::pool::session::Pooled;

/// As often as it looks at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The runtimes that have a keeper.
#[derive(Debug, Default)]
pub(super) struct Reapers(Mutex<Vec<Id>>);

impl Reapers {
    /// True for the one who is to start it.
    fn begin(&self, here: Id) -> bool {
        let mut all = self.lock();
        let begins = !all.contains(&here);
        if begins {
            all.push(here);
        }
        begins
    }

    fn has(&self, runtime: Id) -> bool {
        self.lock().contains(&runtime)
    }

    fn end(&self, here: Id) {
        self.lock().retain(|id| *id != here);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Id>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped before the `Db` is, it says that its runtime has ended.
struct Reaper<DB: Engine> {
    db: WeakDb<DB>,
    here: Id,
}

impl<DB: Engine> Drop for Reaper<DB> {
    fn drop(&mut self) {
        if let Some(db) = self.db.upgrade() {
            db.shared.reapers.end(self.here);
            db.epochs().begin();
        }
    }
}

impl<DB: Engine> Db<DB> {
    /// A session was opened here, or goes on to be used here.
    pub(crate) fn ensure_reaper(&self) {
        let Ok(here) = Handle::try_current() else {
            return;
        };
        if !self.shared.reapers.begin(here.id()) {
            return;
        }
        let closing = self.shared.pool.manager().closing.clone();
        let reaper = Reaper {
            db: self.downgrade(),
            here: here.id(),
        };
        here.spawn(async move { closing.run_until_cancelled(reap_for_ever(&reaper.db)).await });
    }

    /// Whether a runtime that sessions were opened on goes on.
    pub(crate) fn goes_on(&self, runtime: Id) -> bool {
        self.shared.reapers.has(runtime)
    }

    /// Closes what is due; returns when there may be more.
    async fn reap(&self) -> Option<Duration> {
        let (pool, now) = (&self.shared.pool, Instant::now());
        // Those that are out now are seen when they are back.
        let mut next = pool.manager().shortest_life().map(|life| life / 2);
        let mut why = Vec::new();
        let mut keeps = |pooled: &Pooled<DB>| match pool.manager().look_at(pooled, now) {
            Ok(left) => {
                next = next.into_iter().chain(left).min();
                true
            }
            Err(closed) => {
                why.push(closed);
                false
            }
        };
        let due = pool.retain(|shell, _| shell.as_deref().is_none_or(&mut keeps));
        // `close` waits for it.
        let _closes = self.hooks_run();
        for (pooled, why) in due.removed.into_iter().flatten().zip(why) {
            // What does not hear it out is dropped.
            let goodbye = Box::pin(pooled.retire(why));
            timeout(self.settle_timeout(), goodbye).await.ok();
        }
        next
    }
}

async fn reap_for_ever<DB: Engine>(db: &WeakDb<DB>) {
    while let Some(db) = db.upgrade() {
        let next = db.reap().await;
        drop(db);
        match next {
            // To sleep would make a paused clock leap.
            Some(next) if !clock::is_paused() => sleep(next.max(SHORTEST_PAUSE)).await,
            // Each session is looked at when it is taken.
            _ => pending().await,
        }
    }
}
