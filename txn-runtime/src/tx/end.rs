//! How a transaction ends: commit, rollback, and the hooks after it.
//!
//! An end goes through these steps, and never back:
//!
//! ```text
//!   decide ──► before_commit hooks ──► decide again ──► COMMIT ───► report ──► session is
//!      │                │                   │                          ▲       given back
//!      └────────────────┴───────────────────┴─────────► ROLLBACK ──────┘          │
//!                                                                             other hooks
//! ```
//!
//! The future that does this owns the transaction, so that it can outlive its caller: it is wrapped
//! in a [`Shield`], which spawns it if the caller is dropped. A scope with a time limit takes the
//! same steps in `late.rs`.
//!
//! A COMMIT that was answered without success leaves the session in one of two states: outside of
//! the transaction, if the engine is known to have ended it, or else still inside, so that it is
//! rolled back here or by the drop of the session.

use std::borrow::BorrowMut;

use tokio::time::timeout;

use super::Tx;
use super::late::end_in_time;
use super::state::Decision;
use crate::engine::{Engine, Refusal};
use crate::model::error::{Cause, Error};
use crate::model::labels::{RollbackCause, ScopeOutcome};
use crate::model::outcome::{Conclusion, Verdict};
use crate::model::untracked::Untracked;
use crate::observe::events::Event;
use crate::observe::kept::Timestamp;
use crate::observe::trace::Trace;
use crate::pool::hooks::Fate;
use crate::pool::transaction_sql::{self, CommitFailure, RolledBack};
use crate::tx::shield::{EndReport, Shield};
use crate::tx::verify::verify;

/// Ends a transaction, which may be boxed, and closes its span.
///
/// # Cancel safety
///
/// Dropped, the end goes on in the background, and its result becomes an event.
#[expect(
    clippy::manual_async_fn,
    reason = "it would have room for its arguments twice"
)]
pub(crate) fn end<DB: Engine>(
    mut tx: impl BorrowMut<Tx<DB>> + Send + 'static,
    conclusion: Conclusion,
) -> impl Future<Output = Result<(), Error>> + Send {
    async move {
        let mut trace = tx.borrow_mut().session.take_trace();
        let result = end_attempt(tx, conclusion, &mut trace).await;
        trace.ended();
        result
    }
}

/// Ends the transaction of one attempt at a scope. The caller keeps the span, because another
/// attempt may follow.
#[expect(
    clippy::manual_async_fn,
    reason = "it would have room for its arguments twice"
)]
pub(crate) fn end_attempt<DB: Engine>(
    mut tx: impl BorrowMut<Tx<DB>> + Send + 'static,
    conclusion: Conclusion,
    trace: &mut Trace,
) -> impl Future<Output = Result<(), Error>> + Send {
    async move {
        trace.ending(&conclusion);
        if let Some(deadline) = tx.borrow().request.deadline {
            // Boxed: see the head of scope.rs.
            return Box::pin(end_in_time(tx, conclusion, deadline, trace)).await;
        }
        let db = tx.borrow().db().clone();
        let ending = async move {
            let ended = tx.borrow_mut().finish(conclusion).await;
            // Hooks run without a session, so it is given back first.
            drop(tx);
            ended
        };
        let result = Shield::new(db, trace, ending).await;
        trace.attempt_ended();
        result
    }
}

impl<DB: Engine> Tx<DB> {
    /// Commits or rolls back, and reports the result. The session still belongs to the transaction
    /// afterwards, and the hooks have not run.
    async fn finish(&mut self, conclusion: Conclusion) -> EndReport {
        match self.conclude(conclusion).await {
            Decision::Keep => {
                let committed = self.commit_now().await;
                self.committed(committed)
            }
            Decision::Undo { result, cause, why } => {
                let how = ScopeOutcome::undone(&result, why);
                let why = why.after(self.conflicts().met());
                self.db().events().tell(Event::RolledBack { why });
                let rolled_back = Box::pin(self.roll_back()).await;
                self.undone(rolled_back, result, cause, how)
            }
        }
    }

    /// Reports the result of a COMMIT.
    pub(super) fn committed(&mut self, committed: Result<Timestamp, Error>) -> EndReport {
        match committed {
            Ok(answered) => self.ended(
                Ok(()),
                &Fate::Committed,
                ScopeOutcome::Committed,
                Some(answered),
            ),
            Err(error) => {
                let (cause, how) = (Cause::of_scope(&error), self.count_failed_commit(&error));
                self.ended(Err(error), &Fate::RolledBack(cause), how, None)
            }
        }
    }

    /// Reports the result of a ROLLBACK. `result` is what the scope returns if everything was
    /// undone.
    pub(super) fn undone(
        &mut self,
        rolled_back: RolledBack,
        result: Result<(), Error>,
        cause: Cause,
        how: ScopeOutcome,
    ) -> EndReport {
        match rolled_back {
            RolledBack::Fully => self.ended(result, &Fate::RolledBack(cause), how, None),
            RolledBack::Partly(by) => {
                let error = self.ended_before(result, &by, &cause);
                let fate = Fate::RolledBack(Cause::of_scope(&error));
                self.ended(Err(error), &fate, ScopeOutcome::Failed, None)
            }
        }
    }

    /// Takes the hooks that are due now that the transaction's `fate` is known.
    fn ended(
        &mut self,
        result: Result<(), Error>,
        fate: &Fate,
        how: ScopeOutcome,
        at: Option<Timestamp>,
    ) -> EndReport {
        let due = self.session.due(fate);
        EndReport {
            result,
            how,
            at,
            due,
        }
    }

    /// The error of a scope whose rollback came too late: `by` has ended the transaction before,
    /// so that a part of it may be committed. If `result` says that already, it stays.
    fn ended_before(&self, result: Result<(), Error>, by: &Untracked, cause: &Cause) -> Error {
        match result {
            Err(error) if error.is_partly_committed() => error,
            _ => Error::ended(self.level.scope, by, Some(cause)),
        }
    }

    /// Counts a commit that failed, and returns the outcome of its scope.
    fn count_failed_commit(&self, error: &Error) -> ScopeOutcome {
        if error.is_commit_unknown() {
            return ScopeOutcome::Unknown;
        }
        let why = RollbackCause::Commit.after(error.class());
        self.db().events().tell(Event::RolledBack { why });
        ScopeOutcome::Failed
    }

    /// Decides how the level ends. If it is to be kept, runs the `before_commit` hooks, and decides
    /// again, because a hook may have failed or asked for a rollback.
    pub(crate) async fn conclude(&mut self, conclusion: Conclusion) -> Decision {
        match self.decide(conclusion).await {
            Decision::Keep => {}
            undo => return undo,
        }
        // The second decision is only needed if hooks have run.
        if self.before_commit.is_empty() {
            return Decision::Keep;
        }
        if let Err(error) = self.run_before_commit().await {
            let cause = Cause::of_scope(&error);
            return Decision::Undo {
                result: Err(error),
                cause,
                why: RollbackCause::Hook,
            };
        }
        self.decide(Verdict::Commit.into()).await
    }

    /// Sends COMMIT and returns when it was answered.
    ///
    /// Invariant 6: `Ok` is returned only after the server confirmed the COMMIT of a healthy
    /// transaction.
    ///
    /// # Errors
    ///
    /// If it was not confirmed. The error says whether nothing was written, or whether that is
    /// unknown, also after the server was asked.
    pub(super) async fn commit_now(&mut self) -> Result<Timestamp, Error> {
        let scope = self.level.scope;
        let sent = Timestamp::now();
        let failure = match transaction_sql::commit(&mut self.session).await {
            Ok(()) => {
                let answered = Timestamp::now();
                let event = Event::CommitAnswered { sent, answered };
                self.db().events().tell(event);
                return Ok(answered);
            }
            Err(failure) => failure,
        };
        if self.session.state.is_inside() && self.session.state.is_idle() {
            // Its result is ignored: the caller gets the failure of the COMMIT.
            let _ = Box::pin(self.roll_back()).await;
        }
        match failure {
            CommitFailure::Refused(Refusal::Aborted, error) => {
                Err(Error::commit_refused(scope, error))
            }
            CommitFailure::Refused(Refusal::Ended, error) => Err(Error::ended_unseen(scope, error)),
            CommitFailure::Failed(error) => Err(Error::commit(scope, error)),
            CommitFailure::Unknown(error) => Box::pin(self.verify(error)).await,
        }
    }

    /// Asks the server what became of the transaction, because the answer to its COMMIT was lost.
    ///
    /// # Errors
    ///
    /// If the transaction is known not to be committed, or nobody can be asked
    /// ([`Error::is_commit_unknown`]).
    async fn verify(&mut self, error: sqlx::Error) -> Result<Timestamp, Error> {
        let scope = self.level.scope;
        // Without an id, or if the greeting did not name the server, an answer would prove nothing.
        let committed = match (&self.id, self.session.server()) {
            (Some(id), Some(server)) => verify(self.db(), id, server).await,
            _ => None,
        };
        match committed {
            Some(true) => Ok(Timestamp::now()),
            Some(false) => Err(Error::commit(scope, error)),
            None => Err(Error::commit_unknown(scope, error)),
        }
    }

    /// Sends ROLLBACK and waits for the answer, at most for the settle timeout.
    ///
    /// Invariant 7: a failure is an event and not an error, because the session is closed then, and
    /// that rolls back as well. If the transaction had been ended before, that is returned, because
    /// the caller has to know.
    ///
    /// Dropped, it leaves the session inside of the transaction, and the session's drop settles it.
    pub(super) async fn roll_back(&mut self) -> RolledBack {
        // These are read first, because the rollback changes the state that they are read from.
        let limit = self.db().settle_timeout();
        let lost = self.session.is_lost_by_a_drop();
        let ended_by = self.session.state.ended_by().cloned().map(Box::new);
        let problem = match timeout(limit, transaction_sql::rollback(&mut self.session)).await {
            Ok(Ok(RolledBack::Fully)) => {
                return ended_by.map_or(RolledBack::Fully, RolledBack::Partly);
            }
            Ok(Ok(rolled_back)) => return rolled_back,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {limit:?}"),
        };
        // The rollback may have found out.
        let found = self.session.state.ended_by().cloned().map(Box::new);
        let ended_by = found.or(ended_by);
        self.session.state.given_up(lost);
        // A driver that does not survive drops loses its session to each of them, and nobody needs
        // to be warned of that.
        if !lost {
            let scope = self.level.scope;
            tracing::warn!(
                target: "txn", system = DB::SYSTEM, scope, problem,
                "rollback failed, session closed"
            );
        }
        // The session is gone and cannot be asked, so what may have ended the transaction counts
        // as if it had.
        let unseen = self.session.looked_at();
        unseen
            .or(ended_by)
            .map_or(RolledBack::Fully, RolledBack::Partly)
    }
}
