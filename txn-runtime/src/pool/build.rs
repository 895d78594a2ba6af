//! Building a pool from its settings. Nothing connects here: sessions are opened on demand.

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
use super::gate::{self, CircuitBreaker, Gate};
use super::long_scopes::LongScopeWatch;
use super::reaper::Reapers;
use super::second_sessions::SecondSessions;
use super::session::{Epochs, Manager};
use super::{Db, Shared};
use crate::engine::{ConnectOptionsOf, Engine, Greeting};
use crate::model::deadline::LONGEST;
use crate::model::retry::Retry;
use crate::observe::events::{Events, PoolName};

/// The settings that the handle itself consults while it is open. They never change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many sessions may be open at a time.
    pub(crate) max_sessions: usize,
    /// How long a caller waits for a session.
    pub(crate) acquire_timeout: Duration,
    /// How long a cleanup may take before its session is closed (invariant 4).
    pub(crate) settle_timeout: Duration,
    /// The treatment of an operation that was dropped in flight.
    pub(crate) cancel: Cancel,
    /// If set, the server is asked about a COMMIT whose answer was lost.
    pub(crate) verify_commits: bool,
    /// How many sessions are reserved for callers that hold one already.
    pub(crate) reserve: usize,
    /// How scopes are retried that do not say so themselves.
    pub(crate) retry: Retry,
    /// After what time an open scope is reported.
    pub(crate) warn_after: Option<Duration>,
    /// Derived from the callbacks; see [`Db::acts_on_release`].
    pub(crate) acts_on_release: bool,
}

impl Limits {
    /// Panics if every session would be reserved, because then no caller could get its first one.
    fn assert_some_are_unreserved(&self) {
        assert!(
            self.reserve < self.max_sessions,
            "all {} sessions would be reserved for second acquisitions: \
             lower `reserve`, or raise `max_sessions`",
            self.max_sessions
        );
    }

    /// Caps the timeouts, so that adding one to the current time cannot overflow.
    fn saturated(self) -> Self {
        Self {
            acquire_timeout: self.acquire_timeout.min(LONGEST),
            settle_timeout: self.settle_timeout.min(LONGEST),
            ..self
        }
    }
}

/// Everything that a pool is built from, as [`DbBuilder`](crate::DbBuilder) collects it.
#[derive(Debug)]
pub(crate) struct Settings<DB: Engine> {
    /// How sessions are opened.
    pub(crate) options: ConnectOptionsOf<DB>,
    /// The settings that the handle consults while it is open.
    pub(crate) limits: Limits,
    /// The limits of waiting and connecting.
    pub(crate) gate: gate::Settings,
    /// After what time an idle session is closed.
    pub(crate) idle_timeout: Option<Duration>,
    /// After what time a session is closed, once it is idle.
    pub(crate) max_lifetime: Option<Duration>,
    /// The name of the pool in metrics.
    pub(crate) pool_name: PoolName,
    /// The user's callbacks, and whether sessions are reset.
    pub(crate) callbacks: Callbacks<DB>,
}

impl<DB: Engine> Settings<DB> {
    /// Builds the pool, on the runtime that this is called in.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime, and if all sessions would be reserved.
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
        limits.assert_some_are_unreserved();
        let events = Events::new::<DB>(self.pool_name, &options, limits.max_sessions);
        let closing = CancellationToken::new();
        let cleanup_runtime = CleanupRuntime::new(Handle::current());
        let control = Control::new(options.clone(), &cleanup_runtime);
        let manager = Manager {
            events: events.clone(),
            options,
            idle_timeout,
            max_lifetime,
            connect_patience: limits.acquire_timeout * 3 / 4,
            breaker: CircuitBreaker::new(self.gate.breaker, DB::SYSTEM, events.clone()),
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
            unreserved: (limits.reserve > 0)
                .then(|| Arc::new(Semaphore::new(limits.max_sessions - limits.reserve))),
            second_sessions: SecondSessions::default(),
            watch: LongScopeWatch::new(limits.warn_after),
            events,
        });
        Db {
            shared,
            sandbox: None,
        }
    }
}

/// Returns a tracker whose `wait` ends whenever nothing is tracked: tokio's `wait` also requires
/// that the tracker is closed. A closed tracker still accepts new tokens.
fn closed_tracker() -> TaskTracker {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker
}
