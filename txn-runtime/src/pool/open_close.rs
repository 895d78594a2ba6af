//! The beginning and the end of a pool, and the weak handles that do not put the end off.
//!
//! A pool is built from its settings without connecting: sessions are opened on demand.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::callbacks::Callbacks;
use super::cancel::{Cancel, Control};
use super::cleanup_runtime::CleanupRuntime;
use super::connector::Connector;
use super::current_options::CurrentOptions;
use super::gate::{self, CircuitBreaker, Gate};
use super::long_scopes::LongScopeWatch;
use super::reaper::Reapers;
use super::session::Epochs;
use super::sessions::Sessions;
use super::strays::Strays;
use super::{Db, Shared};
use crate::engine::{ConnectOptionsOf, Engine, Greeting};
use crate::model::deadline::LONGEST;
use crate::model::labels::CloseReason;
use crate::model::retry::Retry;
use crate::observe::events::{Events, PoolName};
use crate::observe::scopes::Scopes;

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
    /// How many sessions are to be idle.
    pub(crate) min_idle: usize,
    /// How many sessions are reserved for callers that hold one already.
    pub(crate) reserve: usize,
    /// How scopes are retried that do not say so themselves.
    pub(crate) retry: Retry,
    /// After what time an open scope is reported.
    pub(crate) warn_after: Option<Duration>,
    /// If set, a statement on the handle is refused in a task that is in a scope of it.
    pub(crate) refuse_strays: bool,
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
        let current = CurrentOptions::new(options.clone());
        let control = Control::new(&current, &cleanup_runtime, limits.settle_timeout);
        let connector = Connector {
            events: events.clone(),
            options,
            current,
            idle_timeout,
            max_lifetime,
            connect_timeout: limits.acquire_timeout,
            breaker: CircuitBreaker::new(self.gate.breaker, DB::SYSTEM, events.clone()).into(),
            greeting: Greeting::default(),
            round_trip: Arc::clone(control.round_trip()),
            scopes: Arc::default(),
            epochs: Epochs::default(),
            callbacks: self.callbacks,
            closing: closing.clone(),
        };
        let sessions = Sessions::new(
            limits.max_sessions,
            limits.reserve,
            limits.min_idle,
            self.gate.max_waiting,
            connector,
        );
        let shared = Arc::new(Shared {
            sessions: Arc::new(sessions),
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
            strays: Strays::default(),
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

impl<DB: Engine> Db<DB> {
    /// Closes the handle and all its clones. New scopes and those that wait for a session are
    /// refused, and connection attempts are given up, as is a `before_acquire` that somebody waits
    /// for. Open scopes may end; `close` waits for them, for their hooks and for every cleanup, and
    /// closes every session. When it returns, nothing can begin on this handle any more.
    ///
    /// A hook or a callback must not call it: it would wait for itself.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the handle stays closed, and each session is closed when its scope ends.
    /// It may be called again.
    pub async fn close(&self) {
        if let Some(sandbox) = &self.sandbox {
            return sandbox.close().await;
        }
        let shared = &*self.shared;
        // From here on nothing is opened. The pool is closed before it is waited for, so that a
        // session which comes back meanwhile is closed by its own drop.
        self.connector().closing.cancel();
        // Another `close` at the same time waits for this token, and so for the goodbyes.
        let goodbyes = self.hooks_run();
        for pooled in self.sessions().close() {
            // Boxed: see the head of scope.rs.
            Box::pin(pooled.retire(CloseReason::WithPool, shared.limits.settle_timeout)).await;
        }
        drop(goodbyes);
        // A session that ends may start hooks and cleanups, so these are waited for after it.
        shared.leases.wait().await;
        shared.hooks.wait().await;
        shared.cleanups.wait().await;
        // The watch holds nothing, and its runtime may be one that nobody drives any more.
        let limit = shared.limits.settle_timeout;
        timeout(limit, shared.watch.stop()).await.ok();
        timeout(limit, shared.control.close()).await.ok();
    }
}

/// A weak handle. Background tasks upgrade it for each round of their work, so that the pool ends
/// with the last handle of the user's.
pub(crate) struct WeakDb<DB: Engine>(Weak<Shared<DB>>);

impl<DB: Engine> WeakDb<DB> {
    /// Returns a handle, or `None` if every handle was dropped. It is never that of a sandbox.
    pub(crate) fn upgrade(&self) -> Option<Db<DB>> {
        let shared = self.0.upgrade()?;
        Some(Db {
            shared,
            sandbox: None,
        })
    }
}

impl<DB: Engine> Db<DB> {
    /// Returns a weak handle to the same pool.
    pub(crate) fn downgrade(&self) -> WeakDb<DB> {
        WeakDb(Arc::downgrade(&self.shared))
    }

    /// Returns the list of open scopes of this pool.
    pub(crate) fn scopes_here(&self) -> &Arc<Scopes> {
        &self.connector().scopes
    }

    /// Returns what watches over scopes that are open for too long.
    pub(crate) fn watch(&self) -> &LongScopeWatch {
        &self.shared.watch
    }

    /// Returns what is done with an operation that was dropped in flight.
    pub(crate) fn cancel(&self) -> Cancel {
        self.shared.limits.cancel
    }
}
