//! How sessions are opened, and how long they live.
//!
//! Opening a session passes these layers, from the outside in:
//!
//! | layer | adds |
//! |---|---|
//! | `Opening` | a task of its own, and what becomes of the attempt |
//! | `open` | the time limit, the end when the pool is closed, metrics, the list of scopes |
//! | `connect` | retries of a refusal that may pass |
//! | `connect_once` | a report to the breaker, and real time where tokio's clock is paused |
//! | `set_up` | `after_connect`, and what a reset restores |
//! | `engine::connect` | the connection itself, and the greeting |

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::current_options::CurrentOptions;
use crate::engine::{
    self, AsOpened, Backend, ConnectOptionsOf, Engine, Greeting, RoundTrip, clock, timed_out,
};
use crate::model::error::{Class, Error};
use crate::model::labels::CloseReason;
use crate::model::reset::Reset;
use crate::observe::events::Events;
use crate::observe::kept::Timestamp;
use crate::observe::scopes::Scopes;
use crate::pool::callbacks::Callbacks;
use crate::pool::gate::{Attempt, CircuitBreaker};
use crate::pool::session::{Epochs, Pooled};

/// How the sessions of one pool are opened, and what they need of it without a handle.
pub(crate) struct Connector<DB: Engine> {
    /// The options that the pool was built with: what database it is of.
    pub(crate) options: ConnectOptionsOf<DB>,
    /// The options that sessions are opened with.
    pub(crate) current: Arc<CurrentOptions<DB>>,
    /// After what time an idle session is closed.
    pub(crate) idle_timeout: Option<Duration>,
    /// After what time a session is closed, once it is idle.
    pub(crate) max_lifetime: Option<Duration>,
    /// How long opening a session may take.
    pub(crate) connect_timeout: Duration,
    /// It tells whether connecting makes sense at the moment.
    pub(crate) breaker: Arc<CircuitBreaker>,
    /// The first statement that the server is known to accept.
    pub(crate) greeting: Greeting,
    /// The measured round trip, which is shared with the control connection.
    pub(crate) round_trip: Arc<RoundTrip>,
    /// The list of open scopes.
    pub(crate) scopes: Arc<Scopes>,
    /// The metrics of the pool.
    pub(crate) events: Events,
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
    /// The options that it was opened with.
    options: Arc<ConnectOptionsOf<DB>>,
    /// The state that a reset restores.
    as_opened: AsOpened,
}

/// The backoff between attempts to connect that meet a refusal which may pass.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The pause doubles up to this one.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

impl<DB: Engine> Connector<DB> {
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
        // Its age comes first: `min_idle` may keep a session that was idle for too long.
        let life = left(self.max_lifetime, pooled.opened, CloseReason::MaxLifetime)?;
        let idle = left(self.idle_timeout, pooled.returned, CloseReason::IdleTimeout)?;
        Ok(idle.into_iter().chain(life).min())
    }

    /// Opens a session.
    pub(super) async fn open(&self, mut attempt: Attempt) -> Result<Box<Pooled<DB>>, Error> {
        let begun = Timestamp::now();
        let connect = timeout(self.connect_timeout, self.connect(&mut attempt));
        let opened = match self.closing.run_until_cancelled(connect).await {
            Some(Ok(opened)) => opened,
            Some(Err(_)) => {
                attempt.timed_out();
                Err(Error::connect(timed_out()))
            }
            None => Err(Error::closed()),
        };
        match opened {
            Ok(opened) => Ok(self.pooled(opened, begun)),
            Err(error) => {
                self.events.tell_not_opened(&error);
                Err(error)
            }
        }
    }

    /// Makes a connection a session of the pool.
    fn pooled(&self, opened: Opened<DB>, begun: Timestamp) -> Box<Pooled<DB>> {
        let now = Instant::now();
        let mut tracker = self.events.opened(begun);
        tracker.returned(now);
        Box::new(Pooled {
            connection: opened.connection,
            activity: self.scopes.register(&opened.backend),
            backend: opened.backend.into(),
            opened: now,
            returned: now,
            reused: false,
            epoch: self.epochs.now(),
            runtime: Handle::try_current().ok().map(|here| here.id()),
            to_be_reset: false,
            options: opened.options,
            as_opened: opened.as_opened.into(),
            tracker,
        })
    }

    /// Opens a connection, and tries again, with backoff, while the refusal may pass.
    ///
    /// For the breaker it is one attempt, however often it is repeated.
    async fn connect(&self, attempt: &mut Attempt) -> Result<Opened<DB>, Error> {
        let begun = Instant::now();
        // Less than the whole time, so that the error can name the refusal.
        let patience = self.connect_timeout * 3 / 4;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.connect_once(attempt).await {
                Err(error) if is_transient::<DB>(&error) && begun.elapsed() + pause < patience => {
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

    /// Opens a connection once, and reports to the breaker whether a server answered.
    pub(crate) async fn connect_once(
        &self,
        attempt: &mut Attempt,
    ) -> Result<Opened<DB>, sqlx::Error> {
        let is_unreachable =
            |error: &_| Class::of_connecting(error).is_loss() && !is_transient::<DB>(error);
        clock::real(attempt.run(self.set_up(), is_unreachable)).await
    }

    /// Opens a connection, runs the user's `after_connect`, and records what a reset restores.
    async fn set_up(&self) -> Result<Opened<DB>, sqlx::Error> {
        let options = self.current.get();
        let connected = engine::connect::<DB>(&options, &self.greeting, &self.round_trip);
        let (mut connection, mut backend) = connected.await?;
        if self.callbacks.after_connect.is_some() {
            backend.limits = None; // the callback may set timeouts
            self.callbacks.run_after_connect(&mut connection).await?;
        }
        let as_opened = match self.callbacks.reset {
            Reset::Nothing => AsOpened::default(),
            Reset::Noticed | Reset::Everything => DB::as_opened(&mut connection, &options).await?,
        };
        Ok(Opened {
            connection,
            backend,
            options,
            as_opened,
        })
    }
}

/// Returns true for a refusal by a server that is there and may accept the connection soon.
fn is_transient<DB: Engine>(error: &sqlx::Error) -> bool {
    match error {
        // The server's accept queue is full (EAGAIN on a unix socket).
        sqlx::Error::Io(error) => error.kind() == ErrorKind::WouldBlock,
        sqlx::Error::Database(error) => DB::may_connect_soon(&**error),
        _ => false,
    }
}
