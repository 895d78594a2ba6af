//! Settings of a `Db`.

use std::time::Duration;

mod callbacks;
mod gate;

use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::error::Error;
use crate::model::request::Need;
use crate::model::retry::Retry;
use crate::observe::metrics::PoolName;
use crate::pool::callbacks::Callbacks;
use crate::pool::gate::Settings as Gate;
use crate::pool::{Cancel, Db, Limits, Settings};

/// Settings of a [`Db`], from [`Db::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `connect`"]
pub struct DbBuilder<DB: Engine>(Settings<DB>);

impl<DB: Engine> DbBuilder<DB> {
    pub(super) fn new(options: ConnectOptionsOf<DB>) -> Self {
        Self(Settings {
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
                acts_on_release: false,
            },
            gate: Gate::DEFAULT,
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            pool_name: PoolName::default(),
            callbacks: Callbacks::default(),
        })
    }

    /// What this pool is called in the metrics, as `db.client.connection.pool.name`. Default: its address,
    /// `host:port/database` or the path of the file. Feature `metrics`.
    ///
    /// Pools of one name and engine are counted together.
    #[cfg(feature = "metrics")]
    pub fn pool_name(mut self, name: impl Into<String>) -> Self {
        self.0.pool_name = Some(name.into());
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
        self.0.limits.max_sessions = max;
        self
    }

    /// How long a caller waits for a session, connecting included. Default: 30 s, as in sqlx.
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.0.limits.acquire_timeout = limit;
        self
    }

    /// How long a session may lie in the pool before it is closed. Default: 10 min, as in sqlx.
    ///
    /// The session used last is used next, so that those that are not needed lie idle.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.0.idle_timeout = limit.into();
        self
    }

    /// How old a session may become before it is closed, or replaced when it is back. Default: 30 min, as in sqlx.
    pub fn max_lifetime(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.0.max_lifetime = limit.into();
        self
    }

    /// How long the cleanup after a dropped scope may take before its session is closed. Default: 5 s.
    pub fn settle_timeout(mut self, limit: Duration) -> Self {
        self.0.limits.settle_timeout = limit;
        self
    }

    /// What to do with an operation that was dropped in flight. Default: [`Cancel::Server`].
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.0.limits.cancel = cancel;
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
        self.0.limits.verify_commits = verify;
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
        self.0.limits.reserve = sessions;
        self
    }

    /// What a `retry` without figures stands for on this database. Default: [`Retry::DEFAULT`].
    ///
    /// A function that does not say `retry` is never run twice, `isolation = serializable` or not: each attempt takes a
    /// clone of its arguments, which is to be seen where it is annotated.
    pub fn retry(mut self, policy: Retry) -> Self {
        self.0.limits.retry = policy;
        self
    }

    /// How long a transaction may be open before that is reported, once, as a warning (a `tracing` event) that says what it is doing and
    /// whom it waits on, as [`Db::scopes`] does. Default: 30 s, which is what callers wait for its session; `None` for never.
    ///
    /// The time counts from when it has its session, hooks included. Sessions in autocommit mode may be open for as long as they
    /// like.
    pub fn warn_after(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.0.limits.warn_after = limit.into();
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
        let db = self.0.build();
        drop(db.acquire(db.deadline(), &Need::AUTOCOMMIT).await?);
        Ok(db)
    }
}
