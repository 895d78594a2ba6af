//! What the pool keeps, and how it comes by it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, Pool, RecycleError, RecycleResult};
use sqlx::Connection;
use tokio::runtime::{Handle, Id};
use tokio_util::sync::CancellationToken;

use super::TRUSTED;
use super::epochs::{Epoch, Epochs};
use crate::engine::{
    self, AsOpened, Backend, ConnectOptionsOf, Engine, Greeting, RoundTrip, clock,
};
use crate::model::error::{Class, Error};
use crate::model::labels::CloseReason;
use crate::model::reset::{Reset, SessionMeta};
use crate::observe::metrics::{Meter, SessionTracker};
use crate::observe::opening::opening;
use crate::observe::scopes::{Registered, Scopes};
use crate::pool::callbacks::Callbacks;
use crate::pool::cancel::Cancellable;
use crate::pool::gate::{Attempt, Switch};

/// What the pool keeps.
pub(crate) struct Pooled<DB: Engine> {
    pub(super) connection: DB::Connection,
    pub(super) backend: Cancellable,
    pub(super) activity: Registered,
    pub(super) opened: Instant,
    pub(super) returned: Instant,
    /// It lay in the pool before.
    pub(super) reused: bool,
    pub(super) epoch: Epoch,
    /// That it was opened on.
    pub(super) runtime: Option<Id>,
    /// It was used, and nobody has brought it back to how it was opened: that is to be done in front of what it is used for next.
    pub(super) to_be_reset: bool,
    pub(super) as_opened: Arc<AsOpened>,
    pub(super) tracker: SessionTracker,
}

/// Makes sessions for the pool, and sorts out the ones that are too old.
pub(crate) struct Manager<DB: Engine> {
    pub(crate) options: ConnectOptionsOf<DB>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    /// How long a refusal that may pass is met with another try: less than a caller waits, who is told of the refusal then.
    pub(crate) patience: Duration,
    pub(crate) switch: Switch,
    pub(crate) greeting: Greeting,
    pub(crate) round_trip: Arc<RoundTrip>,
    pub(crate) scopes: Arc<Scopes>,
    pub(crate) meter: Meter,
    /// Sessions in somebody's hands that have no place in the pool any more.
    pub(crate) orphaned: Arc<AtomicUsize>,
    pub(crate) epochs: Epochs,
    pub(crate) callbacks: Callbacks<DB>,
    /// Of the `Db`: nothing is opened any more.
    pub(crate) closing: CancellationToken,
}

/// A connection that was set up, and how to reach it from outside.
pub(crate) struct Opened<DB: Engine> {
    pub(crate) connection: DB::Connection,
    backend: Backend,
    as_opened: AsOpened,
}

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

impl<DB: Engine> Manager<DB> {
    /// Of the manager of this pool.
    pub(super) fn orphaned(pool: &Pool<Self>) -> &Arc<AtomicUsize> {
        &pool.manager().orphaned
    }

    pub(crate) fn shortest_life(&self) -> Option<Duration> {
        self.idle_timeout.into_iter().chain(self.max_lifetime).min()
    }

    /// For how long a session that lies in the pool may go on to, if it may.
    pub(crate) fn look_at(
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

    /// One attempt.
    pub(crate) async fn open(&self, attempt: &mut Attempt<'_>) -> Result<Opened<DB>, sqlx::Error> {
        let is_silence =
            |error: &_| Class::of_connecting(error).is_loss() && !may_pass::<DB>(error);
        clock::real(attempt.run(self.open_unseen(), is_silence)).await
    }

    async fn open_unseen(&self) -> Result<Opened<DB>, sqlx::Error> {
        let options = &self.options;
        let connected = engine::connect::<DB>(options, &self.greeting, &self.round_trip);
        let (mut connection, mut backend) = connected.await?;
        if self.callbacks.after_connect.is_some() {
            backend.limits = None;
            self.callbacks.connected(&mut connection).await?;
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

    async fn connect(&self) -> Result<Opened<DB>, Error> {
        let mut attempt = self.switch.admit().map_err(Error::unavailable)?;
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.open(&mut attempt).await {
                Err(error) if may_pass::<DB>(&error) && begun.elapsed() + pause < self.patience => {
                    tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "cannot connect yet");
                }
                result => return result.map_err(Error::connect),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn may_pass<DB: Engine>(error: &sqlx::Error) -> bool {
    match error {
        // The server has not yet taken those who came before off its list (EAGAIN on a unix socket).
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        sqlx::Error::Database(error) => DB::may_connect_soon(&**error),
        _ => false,
    }
}

impl<DB: Engine> managed::Manager for Manager<DB> {
    /// Boxed, as it is moved with each session; `None` while that is out.
    type Type = Option<Box<Pooled<DB>>>;
    type Error = Error;

    async fn create(&self) -> Result<Self::Type, Error> {
        // Boxed, or every scope's future would have room for it.
        let begun = self.meter.opening();
        let connect = self.closing.run_until_cancelled(self.connect());
        let connected = opening(Box::pin(connect)).await;
        let opened = match connected.unwrap_or_else(|| Err(Error::closed())) {
            Ok(opened) => opened,
            Err(error) => {
                begun.refused(&error);
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
            tracker: begun.opened(),
        })))
    }

    async fn recycle(&self, shell: &mut Self::Type, _: &Metrics) -> RecycleResult<Error> {
        let Some(pooled) = shell else {
            return Err(RecycleError::message("empty"));
        };
        if let Err(why) = self.look_at(pooled, Instant::now()) {
            pooled.tracker.closes(why);
            return Err(RecycleError::message("too old"));
        }
        if self.callbacks.before_acquire.is_none() {
            return Ok(());
        }
        // Whoever is to have it waits for no other. Boxed, or every scope's future would have room for it.
        let asked = Box::pin(opening(self.ask(pooled)));
        asked.await
    }
}

impl<DB: Engine> Manager<DB> {
    /// Asks the user's callback whether a session is to be used. Dropped in flight, the pool lets go of the session.
    async fn ask(&self, pooled: &mut Pooled<DB>) -> RecycleResult<Error> {
        let meta = SessionMeta::idle(pooled.opened, pooled.returned);
        pooled.backend.limits = None;
        let answer = self.callbacks.wants(&mut pooled.connection, meta).await;
        if let Ok(true) = answer {
            return Ok(());
        }
        if let Err(error) = answer {
            let backend = pooled.backend.target.id;
            tracing::warn!(target: "txn", system = DB::SYSTEM, backend, %error, "session closed instead of taken");
        }
        pooled.tracker.closes(CloseReason::Rejected);
        Err(RecycleError::message("not wanted"))
    }
}

impl<DB: Engine> Pooled<DB> {
    /// Says goodbye to the server; for one that was taken out of the pool for this.
    pub(crate) async fn retire(mut self, why: CloseReason) -> Result<(), sqlx::Error> {
        self.tracker.closes(why);
        self.close().await
    }

    /// It was in use until a moment ago.
    pub(crate) fn is_fresh(&self) -> bool {
        self.returned.elapsed() < TRUSTED
    }

    /// Ends it without a word to the server.
    pub(crate) fn discard(mut self, why: CloseReason) {
        self.tracker.closes(why);
    }

    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        clock::real(self.connection.close()).await
    }
}
