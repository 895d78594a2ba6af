//! How a transaction gets its session, and begins on it.
//!
//! ```text
//!   waiting for a session ──► BEGIN in flight ──► open
//!        ▲                          │
//!        └── the session was stale ─┘
//! ```
//!
//! The guard around BEGIN is the session itself: its state says "inside of a transaction" before
//! BEGIN is sent (invariant 2). Dropped while it waits, a caller leaves the queue. Dropped later,
//! the session is settled, whether or not BEGIN has arrived.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Tx;
use crate::engine::{Engine, timed_out};
use crate::model::deadline::{Phase, probe_until};
use crate::model::error::Error;
use crate::model::labels::{CloseReason, ScopePhase};
use crate::model::open_scope::ScopeState;
use crate::model::request::Request;
use crate::observe::events::Event;
use crate::observe::trace::Trace;
use crate::pool::{Db, Session, transaction_sql};

/// How much longer than the scope's own limit the limit on the server is. The server is to end a
/// transaction only if nobody here does.
const SERVER_SLACK: Duration = Duration::from_secs(2);

impl<DB: Engine> Tx<DB> {
    /// Begins a transaction that its caller will end.
    pub(crate) async fn begin_by_hand(db: &Db<DB>, request: Request) -> Result<Self, Error> {
        let mut trace = Trace::root::<DB>(db.events(), &request, 1);
        match Self::begin(db, &request, &mut trace).await {
            Ok(tx) => Ok(*tx),
            Err(error) => {
                trace.ended();
                Err(error)
            }
        }
    }

    /// Begins a transaction on a session of `db`.
    ///
    /// If the session turns out to be dead, another one takes its place: nothing has run on it yet.
    /// If this succeeds, the trace is moved into the transaction; else the caller keeps it.
    pub(crate) async fn begin(
        db: &Db<DB>,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Box<Self>, Error> {
        let begun = Self::acquire_and_begin(db, request, trace).await;
        begun
            .map(|mut tx| {
                tx.session.trace = trace.take().of_body();
                tx
            })
            .inspect_err(|error| trace.not_opened(error))
    }

    /// Takes a session and begins on it, again and again while the session is one that has become
    /// unusable in the pool. All these tries together have one acquire timeout.
    async fn acquire_and_begin(
        db: &Db<DB>,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Box<Self>, Error> {
        let options = request.options;
        if let Some(why) = options.refusal(&DB::LACKS) {
            return Err(Error::refused(options.name, why));
        }
        // One acquire timeout for all rounds of the loop: a pool full of dead sessions does not
        // make a caller wait longer.
        let acquire_by = db.deadline();
        loop {
            trace.at(ScopePhase::Waiting);
            let session = Self::acquire(db, request, acquire_by).await?;
            // Boxed, because it is large and is moved often from here on.
            let mut tx = Box::new(Self::new(session, *request));
            trace.at(ScopePhase::Beginning);
            match tx.send_begin(request, acquire_by).await {
                Ok(()) => {
                    tx.session.was_reset();
                    return Ok(tx);
                }
                // The session died while it was idle. A new session that is broken is an error,
                // because another one would most likely be broken too. So is one that is broken
                // because the caller's time is over, which it would be on another one too.
                Err(error)
                    if tx.session.state.is_broken()
                        && tx.session.is_reused()
                        && !error.is_timeout()
                        && Instant::now() < acquire_by =>
                {
                    tracing::debug!(
                        target: "txn", system = DB::SYSTEM, %error,
                        "stale session replaced"
                    );
                    tx.session.discard_because(CloseReason::BeginFailed);
                }
                // The reset was sent together with BEGIN, and the error does not tell which of the
                // two the server has refused.
                Err(error) if tx.session.is_to_be_reset() && error.code().is_some() => {
                    tracing::debug!(
                        target: "txn", system = DB::SYSTEM, %error,
                        "session that was not reset replaced"
                    );
                    tx.session.discard_because(CloseReason::Reset);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a session until the acquire timeout (`acquire_by`) or the scope's own deadline is
    /// over, whichever is earlier.
    async fn acquire(
        db: &Db<DB>,
        request: &Request,
        acquire_by: Instant,
    ) -> Result<Session<DB>, Error> {
        let name = request.options.name;
        let need = request.need();
        let acquired = pin!(db.acquire(acquire_by, &need));
        let acquired = match request.deadline {
            Some(deadline) if deadline.at() < acquire_by => {
                // Boxed: see the head of scope.rs.
                let in_time = Box::pin(timeout_at(deadline.at(), acquired));
                in_time.await.map_err(|_| {
                    db.events().tell(Event::WaitTimedOut);
                    Error::timeout(name, deadline.over(Phase::Acquire))
                })?
            }
            _ => acquired.await,
        };
        acquired.map_err(|error| error.in_scope(name))
    }

    /// Sends BEGIN and waits for the answer, at most until the acquire timeout or the scope's
    /// deadline is over.
    ///
    /// If the scope has no deadline and the server has answered on this session a moment ago, the
    /// wait has no limit, just as in the body: a timer would cost as much as everything else here.
    async fn send_begin(&mut self, request: &Request, acquire_by: Instant) -> Result<(), Error> {
        let Request {
            options, deadline, ..
        } = *request;
        let name = options.name;
        // The server is told how long the transaction may take, so that it ends one whose client
        // has vanished.
        let limit = deadline.map(|deadline| deadline.remaining() + SERVER_SLACK);
        let until = deadline.map_or(acquire_by, |deadline| deadline.at().min(acquire_by));
        let watched = deadline.is_some() || !self.session.is_trusted();
        // A session that was idle for long may have lost its server. It gets less time, so that
        // enough is left to open another one.
        let suspect = watched && self.session.is_suspect();
        let until = if suspect { probe_until(until) } else { until };
        let begun = {
            let begin = pin!(transaction_sql::begin(&mut self.session, options, limit));
            match watched {
                true => timeout_at(until, begin).await.ok(),
                false => Some(begin.await),
            }
        };
        if let Some(begun) = begun {
            self.id = begun.map_err(|error| Error::begin(name, error))?;
            self.session.activity().enter(ScopeState::Idle);
            // In a sandbox the session was taken long ago, so the time since then means nothing.
            if !self.session.bounds().are_a_savepoint() {
                let sent = self.session.taken_at();
                self.db().events().tell(Event::BeginAnswered { sent });
            }
            return Ok(());
        }
        // No answer came in time.
        if suspect {
            // The caller replaces the session. Those that have been idle for as long are closed
            // too, instead of being tried one after the other.
            self.session.state.lost();
            self.db().close_stale_idle(CloseReason::BeginFailed);
        } else if let Some(deadline) = deadline {
            // The rest of the rollback happens in the background. Boxed: see the head of scope.rs.
            let undone = Box::pin(self.roll_back());
            timeout_at(deadline.at_the_latest(), undone).await.ok();
        }
        match deadline {
            Some(deadline) if deadline.is_over() => {
                Err(Error::timeout(name, deadline.over(Phase::Begin)))
            }
            _ => Err(Error::begin(name, timed_out())),
        }
    }
}
