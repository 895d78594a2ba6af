//! The objects that deadpool keeps for us: how sessions are opened, and which idle ones
//! may still be used.
//!
//! Opening a session passes these layers, from the outside in:
//!
//! | layer | adds |
//! |---|---|
//! | `create` | the end of it when the pool is closed, metrics, the list of open scopes |
//! | `connect` | the breaker's admission, and retries of a refusal that may pass |
//! | `open` | a report to the breaker, and real time where tokio's clock is paused |
//! | `connect_once` | `after_connect`, and what a reset restores |
//! | `engine::connect` | the connection itself, and the greeting |

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, Pool, RecycleError, RecycleResult};
use sqlx::Connection;
use tokio::runtime::{Handle, Id};
use tokio_util::sync::CancellationToken;

use super::TRUSTED;
use super::upkeep::{Epoch, Epochs};
use crate::engine::{
    self, AsOpened, Backend, ConnectOptionsOf, Engine, Greeting, RoundTrip, clock,
};
use crate::model::error::{Class, Error};
use crate::model::labels::CloseReason;
use crate::model::reset::{Reset, SessionMeta};
use crate::observe::events::Events;
use crate::observe::kept::Timestamp;
use crate::observe::opening::opening;
use crate::observe::scopes::{Registered, Scopes};
use crate::observe::tracker::SessionTracker;
use crate::pool::callbacks::Callbacks;
use crate::pool::cancel::Cancellable;
use crate::pool::gate::{Attempt, CircuitBreaker};

/// A session at rest, and what stays with its connection from one user to the next.
///
/// The pool owns it while it is idle, a [`Session`](super::Session) while it is checked out. It is
/// moved between the two as a box and is never shared, so it needs no lock. Invariant 1 holds
/// whenever the pool owns it.
pub(crate) struct Pooled<DB: Engine> {
    /// The driver's connection.
    pub(super) connection: DB::Connection,
    /// How its server is told to cancel what it does.
    pub(super) backend: Cancellable,
    /// Its entry in the list of open scopes.
    pub(super) activity: Registered,
    /// When it was opened, for `max_lifetime`.
    pub(super) opened: Instant,
    /// When it last went back to the pool, or was opened.
    pub(super) returned: Instant,
    /// It has been idle in the pool before, so that the server may have closed it meanwhile.
    pub(super) reused: bool,
    /// The epoch in which it was last known to be up to date.
    pub(super) epoch: Epoch,
    /// The runtime that it was opened on.
    pub(super) runtime: Option<Id>,
    /// It went back to the pool without the reset that is due. Its next user resets it first.
    pub(super) to_be_reset: bool,
    /// The state that a reset restores.
    pub(super) as_opened: Arc<AsOpened>,
    /// Its part in the metrics.
    pub(super) tracker: SessionTracker,
}

/// deadpool's manager: opens sessions, and decides which idle ones may still be used.
///
/// All handles share it through the pool. It also holds what sessions need of their pool without a
/// handle.
pub(crate) struct Manager<DB: Engine> {
    /// How sessions are opened.
    pub(crate) options: ConnectOptionsOf<DB>,
    /// After what time an idle session is closed.
    pub(crate) idle_timeout: Option<Duration>,
    /// After what time a session is closed, once it is idle.
    pub(crate) max_lifetime: Option<Duration>,
    /// How long connecting is retried while the server sends a refusal that may pass. This is
    /// shorter than `acquire_timeout`, so that the caller's error can name the refusal.
    pub(crate) connect_patience: Duration,
    /// It tells whether connecting makes sense at the moment.
    pub(crate) breaker: CircuitBreaker,
    /// The first statement that the server is known to accept.
    pub(crate) greeting: Greeting,
    /// The measured round trip, which is shared with the control connection.
    pub(crate) round_trip: Arc<RoundTrip>,
    /// The list of open scopes.
    pub(crate) scopes: Arc<Scopes>,
    /// The metrics of the pool.
    pub(crate) events: Events,
    /// How many sessions are in somebody's hands and have no slot in the pool any more.
    pub(crate) orphaned: Arc<AtomicUsize>,
    /// The current epoch.
    pub(crate) epochs: Epochs,
    /// The user's callbacks.
    pub(crate) callbacks: Callbacks<DB>,
    /// Cancelled when the pool is closed or dropped. Nothing is opened from then on.
    pub(crate) closing: CancellationToken,
}

/// A connection that was just set up, with what was learnt about it.
pub(crate) struct Opened<DB: Engine> {
    /// The driver's connection.
    pub(crate) connection: DB::Connection,
    /// How its server knows it.
    backend: Backend,
    /// The state that a reset restores.
    as_opened: AsOpened,
}

/// The backoff between attempts to connect that meet a refusal which may pass.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The pause doubles up to this one.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

impl<DB: Engine> Manager<DB> {
    /// Returns the count of orphaned sessions of a pool.
    pub(super) fn orphaned(pool: &Pool<Self>) -> &Arc<AtomicUsize> {
        &pool.manager().orphaned
    }

    /// Returns the time after which an idle session may be due, at the earliest.
    pub(crate) fn shortest_life(&self) -> Option<Duration> {
        self.idle_timeout.into_iter().chain(self.max_lifetime).min()
    }

    /// Returns how long an idle session may stay in the pool (`None` if forever), or why it is to
    /// be closed now.
    pub(crate) fn time_left(
        &self,
        pooled: &Pooled<DB>,
        now: Instant,
    ) -> Result<Option<Duration>, CloseReason> {
        let left = |limit: Option<Duration>, since, why| {
            let left = |limit: Duration| limit.checked_sub(now.duration_since(since)).ok_or(why);
            limit.map(left).transpose()
        };
        let idle = left(self.idle_timeout, pooled.returned, CloseReason::IdleTimeout)?;
        let life = left(self.max_lifetime, pooled.opened, CloseReason::MaxLifetime)?;
        Ok(idle.into_iter().chain(life).min())
    }

    /// Opens a connection once, and reports to the breaker whether a server answered.
    pub(crate) async fn open(&self, attempt: &mut Attempt<'_>) -> Result<Opened<DB>, sqlx::Error> {
        let is_unreachable =
            |error: &_| Class::of_connecting(error).is_loss() && !is_transient::<DB>(error);
        clock::real(attempt.run(self.connect_once(), is_unreachable)).await
    }

    /// Opens a connection, runs the user's `after_connect`, and records what a reset restores.
    async fn connect_once(&self) -> Result<Opened<DB>, sqlx::Error> {
        let options = &self.options;
        let connected = engine::connect::<DB>(options, &self.greeting, &self.round_trip);
        let (mut connection, mut backend) = connected.await?;
        if self.callbacks.after_connect.is_some() {
            backend.limits = None; // the callback may set timeouts
            self.callbacks.run_after_connect(&mut connection).await?;
        }
        let as_opened = match self.callbacks.reset {
            Reset::Nothing => AsOpened::default(),
            Reset::Noticed | Reset::Everything => DB::as_opened(&mut connection, options).await?,
        };
        Ok(Opened {
            connection,
            backend,
            as_opened,
        })
    }

    /// Opens a connection, and tries again, with backoff, while the refusal may pass.
    async fn connect(&self) -> Result<Opened<DB>, Error> {
        // One attempt, as the breaker sees it, however often it is repeated below.
        let mut attempt = self.breaker.admit().map_err(Error::unavailable)?;
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.open(&mut attempt).await {
                Err(error)
                    if is_transient::<DB>(&error)
                        && begun.elapsed() + pause < self.connect_patience =>
                {
                    tracing::debug!(
                        target: "txn", system = DB::SYSTEM, %error,
                        "cannot connect yet"
                    );
                }
                result => return result.map_err(Error::connect),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Returns true for a refusal by a server that is there and may accept the connection soon.
fn is_transient<DB: Engine>(error: &sqlx::Error) -> bool {
    match error {
        // The server's accept queue is full (EAGAIN on a unix socket).
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        sqlx::Error::Database(error) => DB::may_connect_soon(&**error),
        _ => false,
    }
}

impl<DB: Engine> managed::Manager for Manager<DB> {
    /// The shell that occupies a slot: full while the session is idle, `None` while it is out. The
    /// session is boxed because it is moved each time that it changes hands.
    type Type = Option<Box<Pooled<DB>>>;
    type Error = Error;

    /// Opens a session. Dropped in flight, it closes the connection and gives up a probe.
    async fn create(&self) -> Result<Self::Type, Error> {
        let begun = Timestamp::now();
        let connect = self.closing.run_until_cancelled(self.connect());
        let connected = opening(Box::pin(connect)).await; // Boxed: see the head of scope.rs
        let opened = match connected.unwrap_or_else(|| Err(Error::closed())) {
            Ok(opened) => opened,
            Err(error) => {
                self.events.tell_not_opened(&error);
                return Err(error);
            }
        };
        let now = Instant::now();
        Ok(Some(Box::new(Pooled {
            connection: opened.connection,
            activity: self.scopes.register(&opened.backend),
            backend: opened.backend.into(),
            opened: now,
            returned: now,
            reused: false,
            epoch: self.epochs.now(),
            runtime: Handle::try_current().ok().map(|here| here.id()),
            to_be_reset: false,
            as_opened: opened.as_opened.into(),
            tracker: self.events.opened(begun),
        })))
    }

    /// Decides whether an idle session may be handed out. On an error deadpool drops the session
    /// and goes on with the next one, or opens one.
    async fn recycle(&self, shell: &mut Self::Type, _: &Metrics) -> RecycleResult<Error> {
        let Some(pooled) = shell else {
            return Err(RecycleError::message("empty"));
        };
        if let Err(why) = self.time_left(pooled, Instant::now()) {
            pooled.tracker.closes(why);
            return Err(RecycleError::message("too old"));
        }
        if self.callbacks.before_acquire.is_none() {
            return Ok(());
        }
        // Like a session that is being opened, this one is for no other caller.
        Box::pin(opening(self.before_acquire(pooled))).await // Boxed: see the head of scope.rs
    }
}

impl<DB: Engine> Manager<DB> {
    /// Asks the user's `before_acquire` whether an idle session may be used. If this is dropped in
    /// flight, deadpool drops the session.
    async fn before_acquire(&self, pooled: &mut Pooled<DB>) -> RecycleResult<Error> {
        let meta = SessionMeta::idle(pooled.opened, pooled.returned);
        pooled.backend.limits = None; // the callback may set timeouts
        let answer = self
            .callbacks
            .run_before_acquire(&mut pooled.connection, meta)
            .await;
        if let Ok(true) = answer {
            return Ok(());
        }
        if let Err(error) = answer {
            let backend = pooled.backend.target.id;
            tracing::warn!(
                target: "txn", system = DB::SYSTEM, backend, %error,
                "session closed instead of taken"
            );
        }
        pooled.tracker.closes(CloseReason::Rejected);
        Err(RecycleError::message("not wanted"))
    }
}

impl<DB: Engine> Pooled<DB> {
    /// Closes an idle session that was taken out of the pool, with a goodbye to the server.
    pub(crate) async fn retire(mut self, why: CloseReason) -> Result<(), sqlx::Error> {
        self.tracker.closes(why);
        self.close().await
    }

    /// Returns true if it was in use until a moment ago, so that its server is probably there.
    pub(crate) fn is_fresh(&self) -> bool {
        self.returned.elapsed() < TRUSTED
    }

    /// Closes the connection without a word to the server.
    pub(crate) fn discard(mut self, why: CloseReason) {
        self.tracker.closes(why);
    }

    /// Closes the connection with a goodbye to the server.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        clock::real(self.connection.close()).await
    }
}
