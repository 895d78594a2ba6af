//! How a transaction comes by its session, and begins on it.

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
use crate::observe::trace::Trace;
use crate::pool::{Db, Session, transaction_sql};

/// The server ends a transaction that is over its time only if nobody here does.
const SERVER_SLACK: Duration = Duration::from_secs(2);

impl<DB: Engine> Tx<DB> {
    pub(crate) async fn begin_by_hand(db: &Db<DB>, request: Request) -> Result<Self, Error> {
        let mut trace = Trace::root::<DB>(db.meter(), &request, 1);
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
    /// A session that turns out dead is replaced: nothing has run on it yet.
    ///
    /// The trace goes with it, unless it fails.
    pub(crate) async fn begin(
        db: &Db<DB>,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Box<Self>, Error> {
        let begun = Self::begin_unseen(db, request, trace).await;
        begun
            .map(|mut tx| {
                tx.session.trace = trace.take().of_body();
                tx
            })
            .inspect_err(|error| trace.not_opened(error))
    }

    async fn begin_unseen(
        db: &Db<DB>,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Box<Self>, Error> {
        let options = request.options;
        if let Some(why) = options.refusal(&DB::LACKS) {
            return Err(Error::refused(options.name, why));
        }
        let patience = db.deadline();
        loop {
            trace.at(ScopePhase::Waiting);
            let session = Self::acquire(db, request, patience).await?;
            // Boxed from here on: it is large, and passes through many hands.
            let mut tx = Box::new(Self::new(session, *request));
            trace.at(ScopePhase::Beginning);
            match tx.send_begin(request, patience).await {
                Ok(()) => {
                    tx.session.was_reset();
                    return Ok(tx);
                }
                Err(error) if tx.session.state.is_broken() && tx.session.is_reused() => {
                    tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "stale session replaced");
                    tx.session.discard_because(CloseReason::BeginFailed);
                }
                // Nobody knows what of it was refused, the BEGIN or what went before.
                Err(error) if tx.session.is_to_be_reset() && error.code().is_some() => {
                    tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "session that was not reset replaced");
                    tx.session.discard_because(CloseReason::Reset);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for as long as the `Db` lets every caller wait, or the scope has time, whichever is shorter.
    async fn acquire(
        db: &Db<DB>,
        request: &Request,
        patience: Instant,
    ) -> Result<Session<DB>, Error> {
        let name = request.options.name;
        let need = request.need();
        let acquired = pin!(db.acquire(patience, &need));
        let acquired = match request.deadline {
            Some(deadline) if deadline.at() < patience => {
                // Boxed, or every scope's future would have room for it.
                let in_time = Box::pin(timeout_at(deadline.at(), acquired));
                in_time.await.map_err(|_| {
                    db.meter().waited_in_vain();
                    Error::timeout(name, deadline.over(Phase::Acquire))
                })?
            }
            _ => acquired.await,
        };
        acquired.map_err(|error| error.in_scope(name))
    }

    /// A server that does not answer is given up when the patience for a session, or the scope's time, is over. One that
    /// has answered a moment ago is not watched, no more than in the body: a timer costs as much as all else here.
    async fn send_begin(&mut self, request: &Request, patience: Instant) -> Result<(), Error> {
        let Request {
            options, deadline, ..
        } = *request;
        let name = options.name;
        let limit = deadline.map(|deadline| deadline.remaining() + SERVER_SLACK);
        let until = deadline.map_or(patience, |deadline| deadline.at().min(patience));
        let watched = deadline.is_some() || !self.session.is_trusted();
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
            // The session of a sandbox was taken long ago.
            if !self.session.bounds().are_a_savepoint() {
                self.db().meter().begun(self.session.taken_at());
            }
            return Ok(());
        }
        if suspect {
            // It is replaced, and those that have lain there for as long are not tried one after the other.
            self.session.state.lost();
            self.db().close_stale_idle(CloseReason::BeginFailed);
        } else if let Some(deadline) = deadline {
            // Boxed, or every scope's future would have room for it. What is not done by then is done in the background.
            let undone = Box::pin(self.roll_back());
            timeout_at(deadline.at_the_latest(), undone).await.ok();
            if deadline.at() == until {
                return Err(Error::timeout(name, deadline.over(Phase::Begin)));
            }
        }
        Err(Error::begin(name, timed_out()))
    }
}
