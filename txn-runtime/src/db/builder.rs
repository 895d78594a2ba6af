//! Settings of a `Db`, and the making of one.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use deadpool::managed::{Pool, PoolConfig, QueueMode};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod callbacks;

use super::home::Home;
use super::keeper::Keepers;
use super::seconds::Seconds;
use super::{Db, Need, Shared};
use crate::callbacks::Callbacks;
use crate::cancel::{Cancel, Control};
use crate::deadline::LONGEST;
use crate::engine::{ConnectOptionsOf, Engine, Manners};
use crate::gate::{self, Gate, Switch};
use crate::metrics::{Meter, PoolName};
use crate::scopes::Watch;
use crate::session::{Eras, Manager};
use crate::{Error, Retry};

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_sessions: usize,
    pub(super) acquire_timeout: Duration,
    pub(super) settle_timeout: Duration,
    pub(super) cancel: Cancel,
    pub(super) verify_commits: bool,
    pub(super) reserve: usize,
    pub(super) retry: Retry,
    pub(super) warn_after: Option<Duration>,
    /// See [`Db::is_careful`].
    pub(super) careful: bool,
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

/// Settings of a [`Db`], from [`Db::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `connect`"]
pub struct DbBuilder<DB: Engine> {
    options: ConnectOptionsOf<DB>,
    limits: Limits,
    pub(crate) gate: gate::Settings,
    idle_timeout: Option<Duration>,
    max_lifetime: Option<Duration>,
    pool_name: PoolName,
    callbacks: Callbacks<DB>,
}

impl<DB: Engine> DbBuilder<DB> {
    pub(super) fn new(options: ConnectOptionsOf<DB>) -> Self {
        Self {
            options,
            limits: Limits {
                max_sessions: 10,
                acquire_timeout: Duration::from_secs(30),
                settle_timeout: Duration::from_secs(5),
                cancel: Cancel::Server,
                verify_commits: false,
                reserve: 0,
                retry: Retry::DEFAULT,
                warn_after: Some(Duration::from_secs(30)),
                careful: false,
            },
            gate: gate::Settings::DEFAULT,
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            pool_name: PoolName::default(),
            callbacks: Callbacks::default(),
        }
    }

    /// What this pool is called in the metrics, as `db.client.connection.pool.name`. Default: its address,
    /// `host:port/database` or the path of the file. Feature `metrics`.
    ///
    /// Pools of one name and engine are counted together.
    #[cfg(feature = "metrics")]
    pub fn pool_name(mut self, name: impl Into<String>) -> Self {
        self.pool_name = Some(name.into());
        self
    }

    /// The most sessions open at a time. Default: 10, as in sqlx. A SQLite database in memory, or in a temporary file
    /// (an empty name), has 1 at most, which is never replaced: the database lasts as long as that.
    ///
    /// # Panics
    ///
    /// If it is 0.
    pub fn max_sessions(mut self, max: usize) -> Self {
        assert!(
            max > 0,
            "a pool of no sessions would serve nobody: set `max_sessions` to 1 or more"
        );
        self.limits.max_sessions = max;
        self
    }

    /// How long a caller waits for a session, connecting included. Default: 30 s, as in sqlx.
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.limits.acquire_timeout = limit;
        self
    }

    /// How long a session may lie in the pool before it is closed. Default: 10 min, as in sqlx.
    ///
    /// The session used last is used next, so that those that are not needed lie idle.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = limit.into();
        self
    }

    /// How old a session may become before it is closed, or replaced when it is back. Default: 30 min, as in sqlx.
    pub fn max_lifetime(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.max_lifetime = limit.into();
        self
    }

    /// How long the cleanup after a dropped scope may take before its session is closed. Default: 5 s.
    pub fn settle_timeout(mut self, limit: Duration) -> Self {
        self.limits.settle_timeout = limit;
        self
    }

    /// What to do with an operation that was dropped in flight. Default: [`Cancel::Server`].
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.limits.cancel = cancel;
        self
    }

    /// Whether to ask the server what became of a transaction when the answer to its COMMIT was lost. Default: no.
    ///
    /// On PostgreSQL 13 or newer the caller then gets `Ok` or a plain error;
    /// [`Error::is_commit_unknown`] remains only where no server could be asked within the
    /// `settle_timeout`, or it has crashed or been replaced since the transaction began: an answer
    /// counts only from the same run of the same server, and not at all where the role may not call
    /// `pg_control_system()`. It costs no round trip while nothing is lost, but every write scope
    /// takes a transaction id, even one that writes nothing. The other engines cannot tell, and
    /// ignore it.
    pub fn verify_commits(mut self, verify: bool) -> Self {
        self.limits.verify_commits = verify;
        self
    }

    /// Keeps sessions for callers who hold one already and need another (`requires_new`). Default: 0.
    ///
    /// When all sessions are held by callers who wait for another, none of them can go on; the last one to ask then fails at once
    /// ([`Error::is_acquire_timeout`]), and names the scopes that wait. With one reserved session that cannot be, as long as
    /// `requires_new` is not nested in `requires_new`; with *k* of them inside each other, reserve *k*. Without a reserve, a pool of at
    /// least `callers · k + 1` sessions cannot starve, `callers` being those that are in such scopes at a time.
    ///
    /// # Panics
    ///
    /// In [`connect`](Self::connect), if nothing is left of `max_sessions`.
    pub fn reserve(mut self, sessions: usize) -> Self {
        self.limits.reserve = sessions;
        self
    }

    /// What a `retry` without figures stands for on this database. Default: [`Retry::DEFAULT`].
    ///
    /// A function that does not say `retry` is never run twice, `isolation = serializable` or not: each attempt takes a
    /// clone of its arguments, which is to be seen where it is annotated.
    pub fn retry(mut self, policy: Retry) -> Self {
        self.limits.retry = policy;
        self
    }

    /// How long a transaction may be open before that is reported, once, as a warning (a `tracing` event) that says what it is doing and
    /// whom it waits on, as [`Db::scopes`] does. Default: 30 s, which is what callers wait for its session; `None` for never.
    ///
    /// The time counts from when it has its session, hooks included. Sessions in autocommit mode may be open for as long as they
    /// like.
    pub fn warn_after(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.limits.warn_after = limit.into();
        self
    }

    /// Makes the handle, and opens a first session to see that it works.
    ///
    /// # Errors
    ///
    /// If no session can be opened within the `acquire_timeout`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, the connection attempt is given up.
    pub async fn connect(self) -> Result<Db<DB>, Error> {
        let db = self.build();
        drop(db.acquire(db.deadline(), &Need::AUTOCOMMIT).await?);
        Ok(db)
    }

    fn build(self) -> Db<DB> {
        let mut limits = self.limits.saturated();
        limits.careful = self.callbacks.act_on_release();
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
        let home = Home::new(Handle::current());
        let control = Control::new(options.clone(), &home);
        let manager = Manager {
            meter: meter.clone(),
            options,
            idle_timeout,
            max_lifetime,
            patience: limits.acquire_timeout * 3 / 4,
            switch: Switch::new(self.gate.breaker, DB::SYSTEM, meter.clone()),
            manners: Manners::default(),
            pace: Arc::clone(control.pace()),
            scopes: Arc::default(),
            outlived: Arc::default(),
            eras: Eras::default(),
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
            home,
            keepers: Keepers::default(),
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
            seconds: Seconds::default(),
            watch: Watch::new(limits.warn_after),
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
