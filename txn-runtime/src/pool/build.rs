//! Making a handle.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use deadpool::managed::{Pool, PoolConfig, QueueMode};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::callbacks::Callbacks;
use super::cancel::{Cancel, Control};
use super::cleanup_runtime::CleanupRuntime;
use super::gate::{self, Gate, Switch};
use super::long_scopes::LongScopeWatch;
use super::reaper::Reapers;
use super::second_sessions::SecondSessions;
use super::session::{Epochs, Manager};
use super::{Db, Shared};
use crate::engine::{ConnectOptionsOf, Engine, Greeting};
use crate::model::deadline::LONGEST;
use crate::model::retry::Retry;
use crate::observe::metrics::{Meter, PoolName};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_sessions: usize,
    pub(crate) acquire_timeout: Duration,
    pub(crate) settle_timeout: Duration,
    pub(crate) cancel: Cancel,
    pub(crate) verify_commits: bool,
    pub(crate) reserve: usize,
    pub(crate) retry: Retry,
    pub(crate) warn_after: Option<Duration>,
    /// See [`Db::acts_on_release`].
    pub(crate) acts_on_release: bool,
}

impl Limits {
    /// Of the sessions, for callers who hold none yet.
    fn assert_some_are_left(&self) {
        assert!(
            self.reserve < self.max_sessions,
            "all {} sessions would be reserved for second acquisitions: lower `reserve`, or raise `max_sessions`",
            self.max_sessions
        );
    }

    /// A limit that would reach beyond the end of time is as long as any can be.
    fn saturated(self) -> Self {
        Self {
            acquire_timeout: self.acquire_timeout.min(LONGEST),
            settle_timeout: self.settle_timeout.min(LONGEST),
            ..self
        }
    }
}

/// All that a handle is made from.
#[derive(Debug)]
pub(crate) struct Settings<DB: Engine> {
    pub(crate) options: ConnectOptionsOf<DB>,
    pub(crate) limits: Limits,
    pub(crate) gate: gate::Settings,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) pool_name: PoolName,
    pub(crate) callbacks: Callbacks<DB>,
}

impl<DB: Engine> Settings<DB> {
    pub(crate) fn build(self) -> Db<DB> {
        let mut limits = self.limits.saturated();
        limits.acts_on_release = self.callbacks.act_on_release();
        let options = self.options;
        // A database in memory lasts as long as its one session does.
        let (idle_timeout, max_lifetime) = match DB::session_limit(&options) {
            Some(limit) => {
                limits.max_sessions = limits.max_sessions.min(limit);
                (None, None)
            }
            None => (self.idle_timeout, self.max_lifetime),
        };
        limits.assert_some_are_left();
        let meter = Meter::new::<DB>(self.pool_name, &options, limits.max_sessions);
        let closing = CancellationToken::new();
        let cleanup_runtime = CleanupRuntime::new(Handle::current());
        let control = Control::new(options.clone(), &cleanup_runtime);
        let manager = Manager {
            meter: meter.clone(),
            options,
            idle_timeout,
            max_lifetime,
            patience: limits.acquire_timeout * 3 / 4,
            switch: Switch::new(self.gate.breaker, DB::SYSTEM, meter.clone()),
            greeting: Greeting::default(),
            round_trip: Arc::clone(control.round_trip()),
            scopes: Arc::default(),
            orphaned: Arc::default(),
            epochs: Epochs::default(),
            callbacks: self.callbacks,
            closing: closing.clone(),
        };
        let mut config = PoolConfig::new(limits.max_sessions);
        // The session used last has the warmest caches.
        config.queue_mode = QueueMode::Lifo;
        let pool = Pool::builder(manager).config(config).build();
        let shared = Arc::new(Shared {
            pool: pool.expect("only timeouts need a runtime, and none is set"),
            limits,
            cleanup_runtime,
            reapers: Reapers::default(),
            _closing: closing.drop_guard(),
            leases: closed_tracker(),
            cleanups: closed_tracker(),
            hooks: closed_tracker(),
            control,
            waiting: AtomicUsize::new(0),
            gate: Gate::new(self.gate, DB::SYSTEM, DB::ONE_WRITER),
            checks: Mutex::default(),
            writers: DB::ONE_WRITER.then(|| Arc::new(Semaphore::new(1))),
            firsts: (limits.reserve > 0)
                .then(|| Arc::new(Semaphore::new(limits.max_sessions - limits.reserve))),
            second_sessions: SecondSessions::default(),
            watch: LongScopeWatch::new(limits.warn_after),
            meter,
        });
        Db {
            shared,
            sandbox: None,
        }
    }
}

/// A closed tracker still tracks; only then `wait` ends when nothing is tracked.
fn closed_tracker() -> TaskTracker {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker
}
