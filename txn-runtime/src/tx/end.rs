//! How a transaction ends: commit, rollback, and what comes after.

use std::borrow::BorrowMut;

use tokio::time::timeout;

use super::Tx;
use super::late::end_in_time;
use super::state::Decision;
use crate::engine::{Engine, Refusal};
use crate::model::conclusion::Conclusion;
use crate::model::error::{Cause, Error};
use crate::model::labels::{RollbackCause, ScopeOutcome};
use crate::model::outcome::Verdict;
use crate::model::transaction::Health;
use crate::model::untracked::Untracked;
use crate::observe::metrics::Timestamp;
use crate::observe::trace::Trace;
use crate::pool::hooks::Fate;
use crate::pool::transaction_sql::{self, CommitFailure, RolledBack};
use crate::tx::shield::{EndReport, Shield};
use crate::tx::verify::verify;

/// Ends a transaction, which may be boxed.
pub(crate) async fn end<DB: Engine>(
    mut tx: impl BorrowMut<Tx<DB>> + Send + 'static,
    conclusion: Conclusion,
) -> Result<(), Error> {
    let mut trace = tx.borrow_mut().session.take_trace();
    let result = end_attempt(tx, conclusion, &mut trace).await;
    trace.ended();
    result
}

/// The same for an attempt, after which there may be another.
pub(crate) async fn end_attempt<DB: Engine>(
    mut tx: impl BorrowMut<Tx<DB>> + Send + 'static,
    conclusion: Conclusion,
    trace: &mut Trace,
) -> Result<(), Error> {
    trace.ending(&conclusion);
    if let Some(deadline) = tx.borrow().request.deadline {
        // Boxed, or every scope's future would have room for it.
        return Box::pin(end_in_time(tx, conclusion, deadline, trace)).await;
    }
    let db = tx.borrow().db().clone();
    let ending = async move {
        let ended = tx.borrow_mut().finish(conclusion).await;
        // The session is given back before hooks run.
        drop(tx);
        ended
    };
    let result = Shield::new(db, trace, ending).await;
    trace.attempt_ended();
    result
}

impl<DB: Engine> Tx<DB> {
    async fn finish(&mut self, conclusion: Conclusion) -> EndReport {
        match self.conclude(conclusion).await {
            Decision::Keep => {
                let committed = self.commit_now().await;
                self.committed(committed)
            }
            Decision::Undo { result, cause, why } => {
                let how = ScopeOutcome::undone(&result, why);
                let why = why.after(self.conflicts().met());
                self.db().meter().rolled_back(why);
                let rolled_back = Box::pin(self.roll_back()).await;
                self.undone(rolled_back, result, cause, how)
            }
        }
    }

    /// What a COMMIT has come to.
    pub(super) fn committed(&mut self, committed: Result<Timestamp, Error>) -> EndReport {
        match committed {
            Ok(answered) => self.ended(
                Ok(()),
                &Fate::Committed,
                ScopeOutcome::Committed,
                Some(answered),
            ),
            Err(error) => {
                let (cause, how) = (Cause::of_scope(&error), self.not_committed(&error));
                self.ended(Err(error), &Fate::RolledBack(cause), how, None)
            }
        }
    }

    /// What a ROLLBACK has come to.
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
                let error = self.not_undone(result, &by, &cause);
                let fate = Fate::RolledBack(Cause::of_scope(&error));
                self.ended(Err(error), &fate, ScopeOutcome::Failed, None)
            }
        }
    }

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

    /// Part of the transaction may be committed, whatever it was to come to. If that was known
    /// before, it is what it came to.
    fn not_undone(&self, result: Result<(), Error>, by: &Untracked, cause: &Cause) -> Error {
        match result {
            Err(error) if error.is_partly_committed() => error,
            _ => Error::ended(self.level.scope, by, Some(cause)),
        }
    }

    fn not_committed(&self, error: &Error) -> ScopeOutcome {
        if error.is_commit_unknown() {
            return ScopeOutcome::Unknown;
        }
        let why = RollbackCause::Commit.after(error.class());
        self.db().meter().rolled_back(why);
        ScopeOutcome::Failed
    }

    /// Decides, and lets the hooks before the commit change the decision.
    pub(crate) async fn conclude(&mut self, conclusion: Conclusion) -> Decision {
        match self.decide(conclusion).await {
            Decision::Keep => {}
            undo => return undo,
        }
        if self.checks.is_empty() {
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

    /// Invariant 6: `Ok` is returned only after the server confirmed the COMMIT of a healthy transaction.
    pub(super) async fn commit_now(&mut self) -> Result<Timestamp, Error> {
        let scope = self.level.scope;
        let sent = Timestamp::now();
        let failure = match transaction_sql::commit(&mut self.session).await {
            Ok(()) => {
                let answered = Timestamp::now();
                self.db().meter().committed(sent, answered);
                return Ok(answered);
            }
            Err(failure) => failure,
        };
        if self.session.state.is_inside() && self.session.state.is_idle() {
            // The failure of the COMMIT tells all that there is to be told.
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

    /// The answer to the COMMIT was lost.
    async fn verify(&mut self, error: sqlx::Error) -> Result<Timestamp, Error> {
        let scope = self.level.scope;
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

    /// Invariant 7: a failure of this is an event; closing the session rolls back as well. That the
    /// transaction had been ended before is none: the caller has to know.
    pub(super) async fn roll_back(&mut self) -> RolledBack {
        let limit = self.db().settle_timeout();
        let lost = self.session.is_lost_by_a_drop();
        let ended_by = match self.session.state.health() {
            Some(Health::Ended(by)) => Some(by.clone()),
            _ => None,
        };
        let problem = match timeout(limit, transaction_sql::rollback(&mut self.session)).await {
            Ok(Ok(RolledBack::Fully)) => {
                return ended_by.map_or(RolledBack::Fully, RolledBack::Partly);
            }
            Ok(Ok(rolled_back)) => return rolled_back,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {limit:?}"),
        };
        self.session.state.given_up(lost);
        if !lost {
            let scope = self.level.scope;
            tracing::warn!(target: "txn", system = DB::SYSTEM, scope, problem, "rollback failed, session closed");
        }
        // Nobody can be asked any more.
        let unseen = self.session.state.looked_at(DB::RESTORE.is_some());
        unseen
            .or(ended_by)
            .map_or(RolledBack::Fully, RolledBack::Partly)
    }
}
