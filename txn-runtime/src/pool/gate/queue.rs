//! The wait times of one queue, shared between all its callers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::Settings;
use super::codel::{Codel, Decision};

/// [`Codel`] behind a lock, with the clock that it lacks. A change between slow and not slow is
/// logged, once, by the caller that caused it.
///
/// Every caller may use it at any time. The lock is never held across an await or a log message.
#[derive(Debug)]
pub(super) struct Queue {
    /// The engine, for log messages.
    system: &'static str,
    /// The state machine, which decides everything.
    codel: Mutex<Codel>,
    /// A caller was served without waiting since `codel` was last locked.
    ///
    /// The flag keeps the path of such callers free of the lock; whoever locks next passes it on to
    /// `codel`. It guards no other data and may be noticed late, so `Relaxed` is enough.
    served_at_once: AtomicBool,
}

impl Queue {
    /// Creates a queue. Without a target nothing is ever asked of it, so that any target will do.
    pub(super) fn new(settings: &Settings, system: &'static str) -> Self {
        let target = settings.target.unwrap_or_default();
        let codel = Codel::new(target, settings.interval, Instant::now());
        Self {
            system,
            codel: Mutex::new(codel),
            served_at_once: AtomicBool::new(false),
        }
    }

    /// A caller was served without having to wait.
    pub(super) fn served_at_once(&self) {
        // The flag is usually set already. A load then leaves its cache line shared between cores.
        if !self.served_at_once.load(Ordering::Relaxed) {
            self.served_at_once.store(true, Ordering::Relaxed);
        }
    }

    /// A caller that had waited since `since` was served.
    pub(super) fn served(&self, since: Instant) {
        self.with(|codel, now| codel.served(since, now));
    }

    /// Returns when a caller that began to wait at `since` has to [`check`](Self::check) first.
    pub(super) fn first_check(&self, since: Instant) -> Instant {
        self.with(|codel, _| codel.first_check(since))
    }

    /// Decides whether a caller that has waited since `since` may go on waiting.
    pub(super) fn check(&self, since: Instant) -> Decision {
        self.with(|codel, now| codel.check(since, now))
    }

    /// Returns true while callers that wait for long are shed.
    pub(super) fn is_shedding(&self) -> bool {
        self.with(|codel, now| codel.is_slow(now))
    }

    /// Runs `event` on the state, with the current time, and logs if it made the queue slow or
    /// ended that.
    fn with<T>(&self, event: impl FnOnce(&mut Codel, Instant) -> T) -> T {
        let mut codel = self.codel.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if self.served_at_once.swap(false, Ordering::Relaxed) {
            codel.served_at_once();
        }
        let before = codel.was_slow();
        let result = event(&mut codel, now);
        let after = codel.was_slow();
        drop(codel);
        self.log_change(before, after);
        result
    }

    /// Logs that the queue has become slow, or has ceased to be.
    fn log_change(&self, was_slow: bool, is_slow: bool) {
        let system = self.system;
        match (was_slow, is_slow) {
            (false, true) => {
                tracing::warn!(
                    target: "txn", system,
                    "overloaded: callers that wait for a session are refused early"
                );
            }
            (true, false) => {
                tracing::info!(
                    target: "txn", system,
                    "no longer overloaded: callers may wait again"
                );
            }
            _ => {}
        }
    }
}
