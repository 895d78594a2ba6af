//! The pool: how sessions are opened, checked out, settled and closed.
//!
//! [`Db`] is the handle to it that everybody holds. A [`Session`] holds the handle that it came
//! from and goes back to the pool when it is dropped, so the files of this module depend on each
//! other.
//!
//! # The life of a session
//!
//! ```text
//!   opened ──► idle ──► checked out ──► idle           dropped clean, outside of a transaction
//!                │           │
//!                │           ├────────► settling ──► idle, or closed      dropped otherwise
//!                │           └────────► closed         broken, or not to be used any longer
//!                └──► closed                           idle for too long, too old, or unwanted
//! ```
//!
//! `session` has the drop that decides between these, `settle` the cleanup, `reaper` closes idle
//! sessions. A session that settles still counts against `max_sessions`, unless its connection is
//! lost (invariant 5).
//!
//! # Who keeps what alive
//!
//! Handles and sessions that are out keep [`Shared`], and with it the pool. Background tasks hold a
//! [`WeakDb`] and end on their own; cleanups hold their session and run until they are done.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

mod acquire;
mod autocommit;
mod bounds;
pub(crate) mod callbacks;
pub(crate) mod cancel;
mod check;
mod cleanup_runtime;
pub(crate) mod connector;
mod current_options;
pub(crate) mod executor;
pub(crate) mod gate;
pub(crate) mod hooks;
mod long_scopes;
mod open_close;
mod opening;
mod queue;
mod reaper;
pub(crate) mod sandbox_session;
mod server_requests;
pub(crate) mod session;
mod sessions;
pub(crate) mod settle;
mod status;
mod strays;
pub(crate) mod task_scopes;
pub(crate) mod transaction_sql;

pub(crate) use self::bounds::Bounds;
use self::callbacks::Callbacks;
pub use self::cancel::Cancel;
use self::cancel::Control;
pub(crate) use self::cleanup_runtime::CleanupRuntime;
use self::connector::Connector;
use self::gate::Gate;
use self::long_scopes::LongScopeWatch;
pub(crate) use self::open_close::{Limits, Settings, WeakDb};
use self::reaper::Reapers;
use self::sandbox_session::SandboxSession;
use self::session::Epochs;
pub use self::session::Session;
use self::sessions::Sessions;
pub use self::status::Status;
use self::strays::Strays;
use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::retry::Retry;
use crate::observe::events::Events;

/// A handle to a database. It hands out sessions, begins transactions, and is itself a
/// [`sqlx::Executor`] that runs each statement in autocommit mode on a session of its own.
///
/// A handle is cheap to clone, and all clones share one pool. It takes the place of [`sqlx::Pool`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use txn_runtime::{Db, Sqlite};
///
/// let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
/// let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(&db).await?;
/// assert_eq!(one, 1);
/// db.close().await;
/// # Ok(()) }
/// ```
pub struct Db<DB: Engine> {
    /// The pool, which all clones share.
    shared: Arc<Shared<DB>>,
    /// The session of the sandbox, in whose transaction all scopes of this handle run. `None` for
    /// an ordinary handle.
    sandbox: Option<Arc<SandboxSession<DB>>>,
}

/// The state that all clones of a [`Db`] share. It ends with the last handle or session, whichever
/// is dropped later.
///
/// Every part synchronizes itself, so figures of two parts may disagree for a moment.
struct Shared<DB: Engine> {
    /// The sessions, and the callers that wait for one.
    sessions: Arc<Sessions<DB>>,
    /// The settings of the builder. They never change.
    limits: Limits,
    /// The runtime on which cleanups run (invariant 8).
    cleanup_runtime: Arc<CleanupRuntime>,
    /// The runtimes that have a task which closes idle sessions.
    reapers: Reapers,
    /// Cancels the token of [`Connector::closing`] on drop, which ends the reapers.
    _closing: DropGuard,
    /// One token for each session that is out of the pool, including those that are settling.
    leases: TaskTracker,
    /// The cleanups that are running.
    cleanups: TaskTracker,
    /// One token for each scope whose hooks are running.
    hooks: TaskTracker,
    /// The control connection.
    control: Control<DB>,
    /// How many callers wait outside of the queue: for the session of a sandbox, or for the answer
    /// of a callback.
    waiting: AtomicUsize,
    /// The limits of waiting.
    gate: Gate,
    /// Held while a check uses a connection of its own, so that there is one of these at a time.
    checks: Mutex<()>,
    /// The scopes in which strays were reported.
    strays: Strays,
    /// The task that reports scopes which are open for too long.
    watch: LongScopeWatch,
    /// The metrics of this pool.
    events: Events,
}

impl<DB: Engine> Db<DB> {
    /// Waits until no cleanup is pending: every session that a dropped scope left behind is then
    /// clean or closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped: cleanups run whether anybody waits for them or not.
    pub async fn settled(&self) {
        self.shared.cleanups.wait().await;
    }

    /// Returns true if [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let sandbox = self.sandbox_session();
        self.sessions().is_closed() || sandbox.is_some_and(|sandbox| sandbox.is_closed())
    }

    /// Returns the session of the sandbox, if this is the handle of one.
    pub(crate) fn sandbox_session(&self) -> Option<&Arc<SandboxSession<DB>>> {
        self.sandbox.as_ref()
    }

    /// Returns a handle whose scopes run in this sandbox.
    pub(crate) fn inside_of_sandbox(&self, sandbox: Arc<SandboxSession<DB>>) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            sandbox: Some(sandbox),
        }
    }

    /// Returns the handle of the database itself.
    pub(crate) fn outside_of_sandbox(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            sandbox: None,
        }
    }

    /// Returns the sessions of the pool.
    fn sessions(&self) -> &Arc<Sessions<DB>> {
        &self.shared.sessions
    }

    /// Returns what opens sessions.
    fn connector(&self) -> &Connector<DB> {
        &self.shared.sessions.connector
    }

    /// Returns the user's callbacks.
    pub(crate) fn callbacks(&self) -> &Callbacks<DB> {
        &self.connector().callbacks
    }

    /// Returns true if a session may need work between two users: a callback of the user's, or a
    /// reset.
    pub(crate) fn acts_on_release(&self) -> bool {
        self.shared.limits.acts_on_release
    }

    /// Returns the options with which sessions are opened.
    pub(crate) fn options(&self) -> &ConnectOptionsOf<DB> {
        &self.connector().options
    }

    /// Returns the metrics of this pool. They are nothing without the feature.
    pub(crate) fn events(&self) -> &Events {
        &self.shared.events
    }

    /// Returns the current epoch; see `session/upkeep.rs`.
    pub(crate) fn epochs(&self) -> &Epochs {
        &self.connector().epochs
    }

    /// Returns a token that [`close`](Self::close) waits for, to be held while hooks run.
    pub(crate) fn hooks_run(&self) -> TaskTrackerToken {
        self.shared.hooks.token()
    }

    /// Returns how scopes are retried that do not say so themselves.
    pub(crate) fn retry(&self) -> Retry {
        self.shared.limits.retry
    }

    /// Returns how long a cleanup may take (invariant 4).
    pub(crate) fn settle_timeout(&self) -> Duration {
        self.shared.limits.settle_timeout
    }

    /// Returns when a caller that asks for a session now stops waiting.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.shared.limits.acquire_timeout
    }

    /// Spawns a cleanup. It may be called from any thread, inside of a runtime or not (invariant
    /// 8).
    pub(crate) fn spawn(&self, cleanup: impl Future<Output = ()> + Send + 'static) {
        let cleanup = self.shared.events.during(cleanup);
        let cleanup = self.shared.cleanups.track_future(cleanup);
        self.shared.cleanup_runtime.spawn(cleanup);
    }

    /// Spawns a cleanup of a task on this runtime, which drives it. If the runtime ends, the drop
    /// of the cleanup has to be enough.
    pub(crate) fn spawn_here(&self, cleanup: impl Future<Output = ()> + Send + 'static) {
        let cleanup = self.shared.events.during(cleanup);
        tokio::spawn(self.shared.cleanups.track_future(cleanup));
    }
}

impl<DB: Engine> Clone for Db<DB> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            sandbox: self.sandbox.clone(),
        }
    }
}

impl<DB: Engine> fmt::Debug for Db<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db")
            .field("engine", &DB::SYSTEM)
            .field("status", &self.status())
            .field("sandboxed", &self.sandbox.is_some())
            .finish()
    }
}
