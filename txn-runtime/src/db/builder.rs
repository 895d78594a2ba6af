//! The builder of a `Db`: its settings and their defaults.

use std::time::Duration;

mod callbacks;

use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::error::Error;
use crate::model::request::Need;
use crate::model::retry::Retry;
use crate::observe::events::PoolName;
use crate::pool::callbacks::Callbacks;
use crate::pool::gate::Settings as Gate;
use crate::pool::{Cancel, Db, Limits, Settings};

/// Builds a [`Db`] with other settings than the default ones. Created by [`Db::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `connect`"]
pub struct DbBuilder<DB: Engine>(Settings<DB>);

impl<DB: Engine> DbBuilder<DB> {
    /// A builder with the default settings.
    pub(super) fn new(options: ConnectOptionsOf<DB>) -> Self {
        Self(Settings {
            options,
            limits: Limits {
                max_sessions: 10,
                acquire_timeout: Duration::from_secs(30),
                settle_timeout: Duration::from_secs(5),
                cancel: Cancel::Server,
                verify_commits: false,
                refuse_strays: true,
                min_idle: 0,
                reserve: 0,
                retry: Retry::DEFAULT,
                warn_after: Some(Duration::from_secs(30)),
                acts_on_release: false,
            },
            gate: Gate::DEFAULT,
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            pool_name: PoolName::default(),
            callbacks: Callbacks::default(),
        })
    }

    /// Sets the name of this pool in the metrics, `db.client.connection.pool.name`. Default: its
    /// address, `host:port/database`, or the path of the file. Requires the feature `metrics`.
    ///
    /// Pools with the same name and engine are counted together.
    #[cfg(feature = "metrics")]
    pub fn pool_name(mut self, name: impl Into<String>) -> Self {
        self.0.pool_name = Some(name.into());
        self
    }

    /// Sets how many sessions may be open at a time. Default: 10, as in sqlx.
    ///
    /// A SQLite database in memory, or in a temporary file (an empty name), never has more than
    /// one session. That session is never replaced, because the database would end with it.
    ///
    /// # Panics
    ///
    /// If `max` is 0.
    pub fn max_sessions(mut self, max: usize) -> Self {
        assert!(
            max > 0,
            "a pool of no sessions would serve nobody: set `max_sessions` to 1 or more"
        );
        self.0.limits.max_sessions = max;
        self
    }

    /// Sets how long a caller waits for a session, connecting included. Default: 30 s, as in sqlx.
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.0.limits.acquire_timeout = limit;
        self
    }

    /// Sets how long a session may be idle in the pool before it is closed. Default: 10 min, as in
    /// sqlx.
    ///
    /// The session that was used last is used next, so that the sessions that are not needed stay
    /// idle.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.0.idle_timeout = limit.into();
        self
    }

    /// Sets how many sessions are to be idle in the pool. Default: 0.
    ///
    /// While fewer are, and fewer than `max_sessions` are open, sessions are opened in the
    /// background, from the first use of the handle on. So callers of a sudden burst need not wait
    /// for a connection. As many sessions stay open however long they are idle. If no session can
    /// be opened, that is tried again every second.
    pub fn min_idle(mut self, sessions: usize) -> Self {
        self.0.limits.min_idle = sessions;
        self
    }

    /// Sets how old a session may become. Past that it is closed as soon as nobody uses it.
    /// Default: 30 min, as in sqlx.
    pub fn max_lifetime(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.0.max_lifetime = limit.into();
        self
    }

    /// Sets how long the cleanup after a dropped scope may take before its session is closed.
    /// Default: 5 s.
    ///
    /// The server is given at least a tenth of it (0.5 s to 10 s) to answer a request that cancels
    /// an operation. If there is no answer, the request may take effect later, so the session is
    /// closed.
    pub fn settle_timeout(mut self, limit: Duration) -> Self {
        self.0.limits.settle_timeout = limit;
        self
    }

    /// Sets what happens to an operation that was dropped in flight. Default: [`Cancel::Server`].
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.0.limits.cancel = cancel;
        self
    }

    /// Sets whether to ask the server what became of a transaction when the answer to its COMMIT
    /// was lost. Default: no.
    ///
    /// On PostgreSQL 13 or newer the caller then gets `Ok` or a plain error.
    /// [`Error::is_commit_unknown`] remains only if no server could be asked within the
    /// `settle_timeout`, if the server has crashed or been replaced since the transaction began, or
    /// if the role may not call `pg_control_system()`: an answer counts only from the same run of
    /// the same server. It costs no round trip while nothing is lost, but every write scope takes a
    /// transaction id, even one that writes nothing. The other engines cannot tell, and ignore this
    /// setting.
    pub fn verify_commits(mut self, verify: bool) -> Self {
        self.0.limits.verify_commits = verify;
        self
    }

    /// Reserves sessions for callers that hold one already and need another (`requires_new`).
    /// Default: 0.
    ///
    /// If all sessions are held by callers that wait for another, none of them can go on. The last
    /// one to ask then fails at once ([`Error::is_acquire_timeout`]), and its error names the
    /// scopes that wait. One reserved session prevents that, as long as `requires_new` is not
    /// nested in `requires_new`; with *k* of them inside each other, reserve *k*. Without a
    /// reserve, a pool of at least `callers · k + 1` sessions cannot starve, where `callers` is the
    /// number of callers that are in such scopes at a time.
    ///
    /// # Panics
    ///
    /// [`connect`](Self::connect) panics if the reserve leaves nothing of `max_sessions`.
    pub fn reserve(mut self, sessions: usize) -> Self {
        self.0.limits.reserve = sessions;
        self
    }

    /// Sets the policy of a `retry` without figures on this database. Default: [`Retry::DEFAULT`].
    ///
    /// A function without `retry` is never run twice, not even with `isolation = serializable`:
    /// each attempt takes a clone of the arguments, and that should be visible in the annotation.
    pub fn retry(mut self, policy: Retry) -> Self {
        self.0.limits.retry = policy;
        self
    }

    /// Sets how long a transaction may be open before that is reported. Default: 30 s, which is as
    /// long as callers wait for its session; `None` never reports it.
    ///
    /// The report is a single warning (a `tracing` event). It says what the transaction is doing
    /// and whom it waits for, as [`Db::scopes`] does. The time runs from the moment when the
    /// transaction has its session, and includes its hooks. Sessions in autocommit mode may be open
    /// for any time.
    pub fn warn_after(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.0.limits.warn_after = limit.into();
        self
    }

    /// Sets whether a stray is refused: a statement on the handle (`&db`) in the body of an
    /// annotated function that has a transaction of the same handle open. Default: yes.
    ///
    /// Such a statement would run beside the transaction. What it writes stays if the transaction
    /// is rolled back, it does not see what the transaction has written, and it needs a second
    /// session. Mostly the `tx` was forgotten. Where it is meant, [`Db::autocommit`] says so.
    ///
    /// With `false`, the first stray in each scope is reported by a warning (a `tracing` event),
    /// and all run. This is for the time in which an application is moved onto txn.
    ///
    /// A body is known by the task that polls it: what it spawns on the runtime is outside, and so
    /// are hooks that run after the end of a scope. A transaction that is
    /// [begun by hand](Db::begin) has no body, so nothing is refused there, except in a
    /// [`before_commit`](crate::Tx::before_commit) hook.
    pub fn refuse_strays(mut self, refuse: bool) -> Self {
        self.0.limits.refuse_strays = refuse;
        self
    }

    /// Creates the handle, and opens a first session to see that it works.
    ///
    /// # Errors
    ///
    /// If no session can be opened within the `acquire_timeout`.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost. If the future is dropped, the connection attempt is given up.
    pub async fn connect(self) -> Result<Db<DB>, Error> {
        let db = self.0.build();
        drop(db.acquire(db.deadline(), &Need::AUTOCOMMIT).await?);
        Ok(db)
    }

    /// Creates the handle without opening a session. The first caller opens it.
    ///
    /// A program can start before its database does like this. A wrong password is noticed late.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    pub fn connect_lazy(self) -> Db<DB> {
        self.0.build()
    }
}

/// # Under load, and without a server
impl<DB: Engine> DbBuilder<DB> {
    /// Sets how long a caller should wait for a session at most. Default: `None`, which refuses
    /// nobody early; a usual target is 50 ms.
    ///
    /// If nobody was served within the target for a whole [`queue_interval`](Self::queue_interval),
    /// more work comes in than the database can do. Then callers that have waited for twice the
    /// target are refused ([`Error::is_overloaded`](crate::Error::is_overloaded)), new ones too,
    /// until the end of an interval in which a caller was served within the target. So the callers
    /// that are served are served quickly, instead of all of them waiting until the
    /// `acquire_timeout` is near. A burst that is over within the interval is not refused at all.
    /// (This is `CoDel`, in the variant of Elixir's `DBConnection`.)
    ///
    /// The time that is spent on opening a connection does not count as waiting. A caller that
    /// holds a session and waits for another (`requires_new`) is never refused. On SQLite, scopes
    /// that write wait for their turn in a queue of their own.
    ///
    /// The setting is meant for a service whose callers give up, so that a late answer is of no use
    /// to them. A batch job asks for everything at once and can wait, and so can most programs that
    /// nobody waits for. The guide says [when to turn it on][guide].
    ///
    /// [guide]: https://docs.rs/txn-rs/latest/txn/guide/operations/index.html#when-to-refuse-early
    pub fn queue_target(mut self, target: impl Into<Option<Duration>>) -> Self {
        self.0.gate.target = target.into();
        self
    }

    /// Sets how long callers must have waited longer than the target before some are refused.
    /// Default: 2 s. See [`queue_target`](Self::queue_target).
    pub fn queue_interval(mut self, interval: Duration) -> Self {
        self.0.gate.interval = interval;
        self
    }

    /// Sets how many callers may wait for a session. One more is refused at once
    /// ([`Error::is_overloaded`](crate::Error::is_overloaded)). Default: no limit.
    ///
    /// It limits what waiting callers hold: memory, and connections of their own clients. A caller
    /// that holds a session already does not count and is not refused, and neither is a caller that
    /// need not wait.
    pub fn max_waiting(mut self, callers: impl Into<Option<usize>>) -> Self {
        self.0.gate.max_waiting = callers.into();
        self
    }

    /// Sets how long the server may be out of reach before callers fail at once
    /// ([`Error::is_unavailable`](crate::Error::is_unavailable)). Default: 5 s. With `None`, every
    /// caller tries.
    ///
    /// Each caller that needs a new connection tries to open one for that time, and for three
    /// attempts at least, and gets its own error. Then the breaker opens: one caller at a time
    /// tries, with random pauses in between of up to 50 ms, then 100 ms, and at most 1 s. The first
    /// connection closes the breaker, and so does any answer of the server: a refused password,
    /// "too many connections", "starting up". Sessions that are alive work all the time.
    /// [`Status::breaker`](crate::Status::breaker) shows the state of the breaker.
    pub fn breaker_after(mut self, unreachable: impl Into<Option<Duration>>) -> Self {
        self.0.gate.breaker = unreachable.into();
        self
    }

    /// Sets how long [`Db::check`](crate::Db::check) takes at most. Default: 2 s.
    ///
    /// It should be less than the time that the client of the check waits for an answer. A probe of
    /// Kubernetes waits 1 s, unless it sets `timeoutSeconds`.
    pub fn check_timeout(mut self, limit: Duration) -> Self {
        self.0.gate.check = limit;
        self
    }
}
