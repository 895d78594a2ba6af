//! What is known of one queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::Settings;
use super::codel::{Answer, Codel};

#[derive(Debug)]
pub(super) struct Queue {
    system: &'static str,
    codel: Mutex<Codel>,
    /// Somebody did not have to wait. Noted here, for that is to cost nothing; those who wait pass it on.
    free: AtomicBool,
}

impl Queue {
    /// Where there is no target nobody asks.
    pub(super) fn new(settings: &Settings, system: &'static str) -> Self {
        let target = settings.target.unwrap_or_default();
        let codel = Codel::new(target, settings.interval, Instant::now());
        Self {
            system,
            codel: Mutex::new(codel),
            free: AtomicBool::new(false),
        }
    }

    pub(super) fn is_free(&self) {
        // Mostly it is known already, and all cores may go on reading that.
        if !self.free.load(Ordering::Relaxed) {
            self.free.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn served(&self, since: Instant) {
        self.with(|codel, now| codel.served(since, now));
    }

    pub(super) fn first_question(&self, since: Instant) -> Instant {
        self.with(|codel, _| codel.first_question(since))
    }

    pub(super) fn ask(&self, since: Instant) -> Answer {
        self.with(|codel, now| codel.ask(since, now))
    }

    pub(super) fn is_shedding(&self) -> bool {
        self.with(|codel, now| codel.is_slow(now))
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Codel, Instant) -> T) -> T {
        let mut codel = self.codel.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if self.free.swap(false, Ordering::Relaxed) {
            codel.is_free();
        }
        let before = codel.was_slow();
        let answer = ask(&mut codel, now);
        let after = codel.was_slow();
        drop(codel);
        self.tell(before, after);
        answer
    }

    fn tell(&self, before: bool, after: bool) {
        let system = self.system;
        match (before, after) {
            (false, true) => {
                tracing::warn!(target: "txn", system, "overloaded: callers that wait for a session are refused early");
            }
            (true, false) => {
                tracing::info!(target: "txn", system, "no longer overloaded: callers may wait again");
            }
            _ => {}
        }
    }
}
