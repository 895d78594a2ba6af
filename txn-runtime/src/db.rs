//! The handle of a database: the one provider of sessions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolConfig, PoolError, QueueMode};
use sqlx::Connection as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::engine::{ConnectOptionsOf, Engine};
use crate::error::Exhausted;
use crate::options::Options;
use crate::session::Manager;
use crate::{Error, Session, Tx};

/// After this much idleness an autocommit session is asked whether it is alive before it is used: what runs on it
/// cannot be repeated, unlike a BEGIN.
const TRUSTED: Duration = Duration::from_secs(1);

const BY_HAND: Options = Options::new("a transaction begun by hand");

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
pub struct Db<DB: Engine>(Arc<Shared<DB>>);

struct Shared<DB: Engine> {
    pool: Pool<Manager<DB>>,
    limits: Limits,
    /// Invariant 8: cleanups run here.
    handle: Handle,
    /// One token for each session that is out of the pool, settling ones included.
    leases: TaskTracker,
    cleanups: TaskTracker,
    waiting: AtomicUsize,
    /// Writers queue here where the engine has one at a time.
    writers: Option<Arc<Semaphore>>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    max_sessions: usize,
    acquire_timeout: Duration,
    settle_timeout: Duration,
}

/// Settings of a [`Db`], from [`Db::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `connect`"]
pub struct DbBuilder<DB: Engine> {
    options: ConnectOptionsOf<DB>,
    limits: Limits,
    idle_timeout: Option<Duration>,
    max_lifetime: Option<Duration>,
}

/// How a pool stands, from [`Db::status`]. The figures are read one after the other: under load they may disagree by
/// a session that just changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The most sessions that may be open.
    pub max: usize,
    /// Sessions open.
    pub open: usize,
    /// Of these, in the pool.
    pub idle: usize,
    /// Of these, in the hands of scopes and users.
    pub in_use: usize,
    /// Callers that have asked for a session and do not have it yet.
    pub waiting: usize,
    /// Of the open ones, those being brought to a known state.
    pub settling: usize,
}

impl<DB: Engine> DbBuilder<DB> {
    /// The most sessions open at a time. Default: 10, as in sqlx. A SQLite database in memory has 1 at most.
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

    /// How long a session may lie in the pool before it is replaced. Default: 10 min, as in sqlx.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = limit.into();
        self
    }

    /// How old a session may become before it is replaced. Default: 30 min, as in sqlx.
    pub fn max_lifetime(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.max_lifetime = limit.into();
        self
    }

    /// How long the cleanup after a dropped scope may take before its session is closed. Default: 5 s.
    pub fn settle_timeout(mut self, limit: Duration) -> Self {
        self.limits.settle_timeout = limit;
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
        drop(db.acquire(db.deadline(), false).await?);
        Ok(db)
    }

    fn build(self) -> Db<DB> {
        let mut limits = self.limits;
        let options = DB::tune(self.options);
        // A database in memory lasts as long as its one session does.
        let (idle_timeout, max_lifetime) = match DB::session_limit(&options) {
            Some(limit) => {
                limits.max_sessions = limits.max_sessions.min(limit);
                (None, None)
            }
            None => (self.idle_timeout, self.max_lifetime),
        };
        let manager = Manager {
            options,
            idle_timeout,
            max_lifetime,
        };
        let mut config = PoolConfig::new(limits.max_sessions);
        // The session used last has the warmest caches.
        config.queue_mode = QueueMode::Lifo;
        let pool = Pool::builder(manager).config(config).build();
        Db(Arc::new(Shared {
            pool: pool.expect("only timeouts need a runtime, and none is set"),
            limits,
            handle: Handle::current(),
            leases: closed_tracker(),
            cleanups: closed_tracker(),
            waiting: AtomicUsize::new(0),
            writers: DB::ONE_WRITER.then(|| Arc::new(Semaphore::new(1))),
        }))
    }
}

/// A closed tracker still tracks; only then `wait` ends when nothing is tracked.
fn closed_tracker() -> TaskTracker {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker
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
        let options = url
            .parse()
            .map_err(|error| Error::connect(invalid::<DB>(error)))?;
        Self::builder(options).connect().await
    }

    /// Settings beyond the URL.
    pub fn builder(options: ConnectOptionsOf<DB>) -> DbBuilder<DB> {
        DbBuilder {
            options,
            limits: Limits {
                max_sessions: 10,
                acquire_timeout: Duration::from_secs(30),
                settle_timeout: Duration::from_secs(5),
            },
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
        }
    }

    /// Begins a transaction by hand. Annotated functions do it by themselves.
    ///
    /// # Errors
    ///
    /// If no session was free within the `acquire_timeout`, none could be opened, the handle is closed, or the server
    /// refused the BEGIN.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped while it waits it leaves the queue, dropped during BEGIN the session is settled.
    pub async fn begin(&self) -> Result<Tx<DB>, Error> {
        Tx::begin(self, &BY_HAND).await
    }

    /// A session in autocommit mode.
    ///
    /// # Errors
    ///
    /// If no session was free within the `acquire_timeout`, none could be opened, or the handle is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, it leaves the queue.
    pub async fn session(&self) -> Result<Session<DB>, Error> {
        let deadline = self.deadline();
        loop {
            let mut session = self.acquire(deadline, false).await?;
            if !session.is_reused() || session.idle_for() < TRUSTED {
                return Ok(session);
            }
            match timeout_at(deadline, session.split().0.ping()).await {
                Ok(Ok(())) => return Ok(session),
                _ => session.discard(),
            }
        }
    }

    /// How the pool stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &*self.0;
        let settling = shared.cleanups.len();
        let in_use = shared.leases.len().saturating_sub(settling);
        let open = shared.pool.status().size;
        Status {
            max: shared.limits.max_sessions,
            open,
            idle: open.saturating_sub(in_use + settling),
            in_use,
            waiting: shared.waiting.load(Ordering::Relaxed),
            settling,
        }
    }

    /// Returns when no cleanup is pending: every session that a dropped scope left behind is clean or closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the cleanups do not depend on who waits for them.
    pub async fn settled(&self) {
        self.0.cleanups.wait().await;
    }

    /// Closes the handle and all its clones: refuses new scopes and those that wait for a session, lets open ones end,
    /// waits for them and for every cleanup, and closes every session.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the handle stays closed; sessions still go when their scopes end. It may be called again.
    pub async fn close(&self) {
        let shared = &*self.0;
        let idle = shared.pool.retain(|_, _| false).removed;
        shared.pool.close();
        if let Some(writers) = &shared.writers {
            writers.close();
        }
        for pooled in idle {
            // What does not hear us out is dropped.
            timeout(shared.limits.settle_timeout, pooled.close())
                .await
                .ok();
        }
        shared.leases.wait().await;
        shared.cleanups.wait().await;
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.pool.is_closed()
    }

    pub(crate) fn settle_timeout(&self) -> Duration {
        self.0.limits.settle_timeout
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.0.limits.acquire_timeout
    }

    /// A cleanup; it needs no runtime of the caller's.
    pub(crate) fn spawn(&self, cleanup: impl Future<Output = ()> + Send + 'static) {
        self.0.cleanups.spawn_on(cleanup, &self.0.handle);
    }

    pub(crate) async fn acquire(
        &self,
        deadline: Instant,
        writes: bool,
    ) -> Result<Session<DB>, Error> {
        let waiting = Waiting::new(&self.0.waiting);
        let lease = async {
            let turn = self.turn(writes).await?;
            let object = self.0.pool.get().await.map_err(pool_error)?;
            Ok((object, turn))
        };
        let leased: Result<(Object<_>, _), Error> = match timeout_at(deadline, lease).await {
            Ok(leased) => leased,
            Err(_) => return Err(self.exhausted(deadline)),
        };
        drop(waiting);
        let (object, turn) = leased?;
        Ok(Session::new(
            object,
            self.clone(),
            self.0.leases.token(),
            turn,
        ))
    }

    /// A place at the head of the writers' queue, before a session is taken: who waits holds none.
    async fn turn(&self, writes: bool) -> Result<Option<OwnedSemaphorePermit>, Error> {
        match &self.0.writers {
            Some(writers) if writes => match writers.clone().acquire_owned().await {
                Ok(turn) => Ok(Some(turn)),
                Err(_) => Err(Error::closed()),
            },
            _ => Ok(None),
        }
    }

    fn exhausted(&self, deadline: Instant) -> Error {
        let status = self.status();
        let limit = self.0.limits.acquire_timeout;
        let waited = limit + Instant::now().saturating_duration_since(deadline);
        Error::acquire_timeout(Exhausted {
            limit,
            waited,
            max: status.max,
            in_use: status.in_use,
            settling: status.settling,
            waiting: status.waiting.saturating_sub(1),
        })
    }
}

fn pool_error(error: PoolError<sqlx::Error>) -> Error {
    match error {
        PoolError::Backend(error) => Error::connect(error),
        PoolError::Closed => Error::closed(),
        // Only with timeouts and hooks, of which there are none.
        error => Error::connect(sqlx::Error::Configuration(error.to_string().into())),
    }
}

fn invalid<DB: Engine>(error: sqlx::Error) -> sqlx::Error {
    let schemes = DB::URL_SCHEMES.join("` or `");
    sqlx::Error::Configuration(
        format!(
            "not a database URL of {} (it begins with `{schemes}`): {error}",
            DB::NAME
        )
        .into(),
    )
}

/// Counts a caller as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<DB: Engine> Clone for Db<DB> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<DB: Engine> fmt::Debug for Db<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db")
            .field("engine", &DB::SYSTEM)
            .field("status", &self.status())
            .finish()
    }
}
