//! The handle of a database: the one provider of sessions.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use deadpool::managed::Pool;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

mod acquire;
mod autocommit;
mod builder;
mod check;
mod home;
mod keeper;
#[cfg(feature = "migrate")]
mod migrate;
mod outside;
mod scopes;
mod seconds;
mod status;

pub(crate) use self::acquire::{Need, Permits};
pub use self::builder::DbBuilder;
use self::builder::Limits;
pub(crate) use self::home::Home;
use self::keeper::Keepers;
pub(crate) use self::scopes::WeakDb;
use self::seconds::Seconds;
pub use self::status::Status;
use crate::callbacks::Callbacks;
use crate::cancel::Control;
use crate::engine::{ConnectOptionsOf, Engine};
use crate::gate::Gate;
use crate::metrics::Meter;
use crate::options::Options;
use crate::sandbox::Lent;
use crate::scope::Request;
use crate::scopes::Watch;
use crate::session::{Eras, Manager};
use crate::{Error, Retry, Session, Tx};

static BY_HAND: Options = Options::new("a transaction begun by hand");

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
    sandbox: Option<Arc<Lent<DB>>>,
}

struct Shared<DB: Engine> {
    pool: Pool<Manager<DB>>,
    limits: Limits,
    /// Invariant 8: cleanups run here.
    home: Arc<Home>,
    keepers: Keepers,
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
    seconds: Seconds,
    watch: Watch,
    meter: Meter,
}

impl<DB: Engine> Db<DB> {
    /// Connects with default settings.
    ///
    /// # Errors
    ///
    /// If the URL is not one of this engine's, or no session can be opened: the server cannot be reached
    /// ([`Error::is_connection`]), or refuses ([`Error::code`] tells why).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, the connection attempt is given up.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        // sqlx would take the URL of another engine, and look for a server where there is none.
        let scheme = url.split(':').next().unwrap_or_default();
        if !DB::URL_SCHEMES.contains(&scheme) {
            return Err(Error::connect(invalid::<DB>(&"another scheme, or none")));
        }
        let options = url
            .parse()
            .map_err(|error: sqlx::Error| Error::connect(invalid::<DB>(&error)))?;
        Self::builder(options).connect().await
    }

    /// Settings beyond the URL.
    pub fn builder(options: ConnectOptionsOf<DB>) -> DbBuilder<DB> {
        DbBuilder::new(options)
    }

    /// Begins a transaction by hand. Annotated functions do it by themselves.
    ///
    /// # Errors
    ///
    /// If no session was free within the `acquire_timeout`, none could be opened, too many wait for one
    /// ([`Error::is_overloaded`]), the server has been out of reach for a while ([`Error::is_unavailable`]), the handle is closed, or the
    /// server refused the BEGIN.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped while it waits it leaves the queue, dropped during BEGIN the session is settled.
    #[track_caller]
    pub fn begin(&self) -> impl Future<Output = Result<Tx<DB>, Error>> + Send {
        let request = Request::by_hand(&BY_HAND, Location::caller());
        Tx::begin_by_hand(self, request)
    }

    /// A session in autocommit mode.
    ///
    /// # Errors
    ///
    /// If no session was free within the `acquire_timeout`, none could be opened, too many wait for one
    /// ([`Error::is_overloaded`]), the server has been out of reach for a while ([`Error::is_unavailable`]), or the handle is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, it leaves the queue.
    #[track_caller]
    pub fn session(&self) -> impl Future<Output = Result<Session<DB>, Error>> + Send {
        self.autocommit_session(Need {
            location: Some(Location::caller().into()),
            ..Need::AUTOCOMMIT
        })
    }

    /// Returns when no cleanup is pending: every session that a dropped scope left behind is clean or closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the cleanups do not depend on who waits for them.
    pub async fn settled(&self) {
        self.shared.cleanups.wait().await;
    }

    /// Closes the handle and all its clones: refuses new scopes and those that wait for a session, lets open ones end,
    /// waits for them, for their hooks and for every cleanup, and closes every session. A session that is being opened is given up. When it
    /// returns, nothing begins any more. A hook must not wait for it: it would wait for itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the handle stays closed; sessions still go when their scopes end. It may be called again.
    pub async fn close(&self) {
        if let Some(lent) = &self.sandbox {
            return lent.close().await;
        }
        let shared = &*self.shared;
        shared.pool.manager().closing.cancel();
        let idle = shared.pool.retain(|_, _| false).removed;
        shared.pool.close();
        for queue in [&shared.writers, &shared.firsts].into_iter().flatten() {
            queue.close();
        }
        for pooled in idle.into_iter().flatten() {
            // What does not hear us out is dropped. Boxed, or whoever closes has room for a connection.
            let goodbye = Box::pin(pooled.close());
            timeout(shared.limits.settle_timeout, goodbye).await.ok();
        }
        shared.leases.wait().await;
        shared.hooks.wait().await;
        shared.cleanups.wait().await;
        shared.watch.stop().await;
        let goodbye = shared.control.close();
        timeout(shared.limits.settle_timeout, goodbye).await.ok();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.pool.is_closed() || self.lent().is_some_and(|lent| lent.is_closed())
    }

    pub(crate) fn lent(&self) -> Option<&Arc<Lent<DB>>> {
        self.sandbox.as_ref()
    }

    /// The handle of a sandbox in this database.
    pub(crate) fn inside_of_sandbox(&self, lent: Arc<Lent<DB>>) -> Self {
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
    pub(crate) fn is_careful(&self) -> bool {
        self.shared.limits.careful
    }

    pub(crate) fn options(&self) -> &ConnectOptionsOf<DB> {
        &self.shared.pool.manager().options
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    pub(crate) fn eras(&self) -> &Eras {
        &self.shared.pool.manager().eras
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
        self.shared.home.spawn(cleanup);
    }
}

fn invalid<DB: Engine>(error: &dyn fmt::Display) -> sqlx::Error {
    let schemes = DB::URL_SCHEMES.join("` or `");
    sqlx::Error::Configuration(
        format!(
            "not a database URL of {} (it begins with `{schemes}`): {error}",
            DB::NAME
        )
        .into(),
    )
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
