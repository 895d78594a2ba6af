//! Sessions: what they are opened, handed out, settled and closed by.
//!
//! [`Db`] is the pool as everybody has it in hand. A [`Session`] knows the handle that it came from, and
//! goes back to it when it is dropped; so the files of this room know each other.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use deadpool::managed::Pool;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

mod acquire;
mod autocommit;
mod bounds;
mod build;
pub(crate) mod callbacks;
pub(crate) mod cancel;
mod check;
mod cleanup_runtime;
mod close;
pub(crate) mod executor;
pub(crate) mod gate;
pub(crate) mod hooks;
mod long_scopes;
mod open_scopes;
mod reaper;
pub(crate) mod sandbox_session;
mod second_sessions;
mod server_requests;
pub(crate) mod session;
pub(crate) mod settle;
mod status;
pub(crate) mod transaction_sql;
mod weak;

pub(crate) use self::acquire::Permits;
pub(crate) use self::bounds::Bounds;
pub(crate) use self::build::{Limits, Settings};
use self::callbacks::Callbacks;
pub use self::cancel::Cancel;
use self::cancel::Control;
pub(crate) use self::cleanup_runtime::CleanupRuntime;
use self::gate::Gate;
use self::long_scopes::LongScopeWatch;
use self::reaper::Reapers;
use self::sandbox_session::SandboxSession;
use self::second_sessions::SecondSessions;
pub use self::session::Session;
use self::session::{Epochs, Manager};
pub use self::status::Status;
pub(crate) use self::weak::WeakDb;
use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::retry::Retry;
use crate::observe::metrics::Meter;

/// A handle to a database: hands out sessions, begins transactions, and is itself a [`sqlx::Executor`] that runs each
/// statement in autocommit mode on a session of its own.
///
/// Cheap to clone; all clones share one pool. It takes the place of [`sqlx::Pool`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use txn_runtime::{Db, Sqlite};
///
/// let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
/// let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(&db).await?;
/// assert_eq!(one, 1);
/// db.close().await;
/// # Ok(()) }
/// ```
pub struct Db<DB: Engine> {
    shared: Arc<Shared<DB>>,
    /// Where this is the handle of a sandbox: its transaction, which all scopes run in.
    sandbox: Option<Arc<SandboxSession<DB>>>,
}

struct Shared<DB: Engine> {
    pool: Pool<Manager<DB>>,
    limits: Limits,
    /// Invariant 8: cleanups run here.
    cleanup_runtime: Arc<CleanupRuntime>,
    reapers: Reapers,
    /// Ends the keepers with it.
    _closing: DropGuard,
    /// One token for each session that is out of the pool, settling ones included.
    leases: TaskTracker,
    cleanups: TaskTracker,
    /// One token for each scope whose hooks run.
    hooks: TaskTracker,
    control: Control<DB>,
    waiting: AtomicUsize,
    gate: Gate,
    /// Held while a check has a connection of its own.
    checks: Mutex<()>,
    /// Writers queue here where the engine has one at a time.
    writers: Option<Arc<Semaphore>>,
    /// Callers that hold no session yet queue here where some are reserved for those who do.
    firsts: Option<Arc<Semaphore>>,
    second_sessions: SecondSessions,
    watch: LongScopeWatch,
    meter: Meter,
}

impl<DB: Engine> Db<DB> {
    /// Returns when no cleanup is pending: every session that a dropped scope left behind is clean or closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the cleanups do not depend on who waits for them.
    pub async fn settled(&self) {
        self.shared.cleanups.wait().await;
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.pool.is_closed() || self.sandbox_session().is_some_and(|lent| lent.is_closed())
    }

    pub(crate) fn sandbox_session(&self) -> Option<&Arc<SandboxSession<DB>>> {
        self.sandbox.as_ref()
    }

    /// The handle of a sandbox in this database.
    pub(crate) fn inside_of_sandbox(&self, lent: Arc<SandboxSession<DB>>) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            sandbox: Some(lent),
        }
    }

    pub(crate) fn outside_of_sandbox(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            sandbox: None,
        }
    }

    pub(crate) fn callbacks(&self) -> &Callbacks<DB> {
        &self.shared.pool.manager().callbacks
    }

    /// Something is, or may be, to be done with a session that was used before others get it.
    pub(crate) fn acts_on_release(&self) -> bool {
        self.shared.limits.acts_on_release
    }

    pub(crate) fn options(&self) -> &ConnectOptionsOf<DB> {
        &self.shared.pool.manager().options
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    pub(crate) fn epochs(&self) -> &Epochs {
        &self.shared.pool.manager().epochs
    }

    /// For as long as hooks of a scope run that has ended.
    pub(crate) fn hooks_run(&self) -> TaskTrackerToken {
        self.shared.hooks.token()
    }

    pub(crate) fn retry(&self) -> Retry {
        self.shared.limits.retry
    }

    pub(crate) fn settle_timeout(&self) -> Duration {
        self.shared.limits.settle_timeout
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.shared.limits.acquire_timeout
    }

    /// A cleanup; it needs no runtime of the caller's.
    pub(crate) fn spawn(&self, cleanup: impl Future<Output = ()> + Send + 'static) {
        let cleanup = self.shared.meter.counting(cleanup);
        let cleanup = self.shared.cleanups.track_future(cleanup);
        self.shared.cleanup_runtime.spawn(cleanup);
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
