//! The end of a transaction whose scope has a time limit.
//!
//! There are two limits. Until the deadline, the scope may decide and run its `before_commit`
//! hooks; when the time is over, these are dropped and the transaction is rolled back. A COMMIT or
//! a ROLLBACK that is in flight is never dropped: the caller waits for its answer until
//! [`Deadline::at_the_latest`], which is a little later.
//!
//! ```text
//!            deadline            at_the_latest
//!   ────────────┼──────────────────────┼──────────────────────────►
//!    decide,    │ COMMIT or ROLLBACK,  │ the caller is gone: the same COMMIT or ROLLBACK,
//!    hooks      │ the caller waits     │ in the background, and the hooks after it
//! ```
//!
//! If the answer does not come until then, the caller gets what is known so far, which stands in
//! [`EndProgress`]. The end goes on in the background, as after a drop, and the hooks run according
//! to the answer when it comes.

use std::borrow::BorrowMut;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{Either, select};
use tokio::time::timeout_at;

use super::Tx;
use super::state::Decision;
use crate::engine::{Engine, timed_out};
use crate::model::deadline::{Deadline, Phase};
use crate::model::error::{Cause, Error};
use crate::model::labels::{RollbackCause, ScopeOutcome};
use crate::model::outcome::{Conclusion, Verdict};
use crate::observe::events::Event;
use crate::observe::kept::Timestamp;
use crate::observe::trace::Trace;
use crate::tx::shield::{EndReport, Shield};
use crate::tx::verify::verify;

/// The state of an end, and what its caller gets if it stops waiting now.
///
/// `Committing` is the first state. It becomes `RollingBack` once the decision is a rollback.
/// `Reported` is final: whoever needs the result first takes it, the end itself or the caller that
/// stops waiting.
enum EndState {
    /// The decision is not made yet, or the COMMIT is in flight.
    Committing,
    /// The ROLLBACK is in flight. The caller gets this result, for this reason.
    RollingBack(Result<(), Error>, RollbackCause),
    /// The result was taken.
    Reported,
}

/// The state of an end, shared by the end, which may run in the background, and its caller. The
/// lock is held for a single replacement and never across an await.
struct EndProgress(Mutex<EndState>);

impl EndProgress {
    /// Moves to the `next` state and returns the one before.
    fn replace(&self, next: EndState) -> EndState {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *state, next)
    }
}

/// Ends the transaction of one attempt at a scope that has a time limit.
///
/// # Cancel safety
///
/// Dropped, the end goes on in the background, as without a time limit.
pub(super) async fn end_in_time<DB: Engine>(
    mut tx: impl BorrowMut<Tx<DB>> + Send + 'static,
    conclusion: Conclusion,
    deadline: Deadline,
    trace: &mut Trace,
) -> Result<(), Error> {
    let (db, scope) = (tx.borrow().db().clone(), tx.borrow().level.scope);
    let progress = Arc::new(EndProgress(Mutex::new(EndState::Committing)));
    let shared = Arc::clone(&progress);
    let ending = async move {
        let ended = tx
            .borrow_mut()
            .finish_in_time(conclusion, deadline, &shared);
        let ended = ended.await;
        // Hooks run without a session, so it is given back first.
        drop(tx);
        ended
    };
    // `None` if the caller stops waiting. The shield is dropped at the end of this block, before
    // the result is read.
    let in_time = {
        let mut shield = Shield::new(db, trace, ending);
        match timeout_at(deadline.at_the_latest(), &mut shield).await {
            Ok(result) => Some(result),
            // The hooks after the end have no limit.
            Err(_) if shield.is_past_the_end() => Some(shield.await),
            // The shield is dropped here, and the end goes on in the background.
            Err(_) => None,
        }
    };
    let result = in_time.unwrap_or_else(|| {
        let known = progress.replace(EndState::Reported);
        let (result, how) = result_so_far(known, scope, deadline);
        trace.came_out(how, result.as_ref().err());
        result
    });
    trace.attempt_ended();
    result
}

/// The result for a caller that stops waiting before the end is reached.
fn result_so_far(
    known: EndState,
    scope: &'static str,
    deadline: Deadline,
) -> (Result<(), Error>, ScopeOutcome) {
    match known {
        EndState::RollingBack(result, why) => {
            let how = ScopeOutcome::undone(&result, why);
            (result, how)
        }
        EndState::Committing | EndState::Reported => {
            let late = Error::commit_late(scope, deadline.over(Phase::Commit));
            (Err(late), ScopeOutcome::Unknown)
        }
    }
}

impl<DB: Engine> Tx<DB> {
    /// Commits or rolls back, and reports the result. Until then, `progress` says what a caller
    /// gets that stops waiting.
    async fn finish_in_time(
        &mut self,
        conclusion: Conclusion,
        deadline: Deadline,
        progress: &EndProgress,
    ) -> EndReport {
        match self.conclude_in_time(conclusion, deadline).await {
            Decision::Keep => {
                let committed = self.commit_or_ask(deadline).await;
                self.committed(committed)
            }
            Decision::Undo { result, cause, why } => {
                let how = ScopeOutcome::undone(&result, why);
                progress.replace(EndState::RollingBack(result, why));
                let why = why.after(self.conflicts().met());
                self.db().events().tell(Event::RolledBack { why });
                let rolled_back = Box::pin(self.roll_back()).await;
                // The caller may have taken the result meanwhile; then nobody reads this one.
                let result = match progress.replace(EndState::Reported) {
                    EndState::RollingBack(result, _) => result,
                    EndState::Committing | EndState::Reported => Ok(()),
                };
                self.undone(rolled_back, result, cause, how)
            }
        }
    }

    /// Decides in time how a root scope ends, the `before_commit` hooks included. The same goes for
    /// a `requires_new` scope in a sandbox, which counts as a root scope.
    pub(crate) async fn conclude_in_time(
        &mut self,
        conclusion: Conclusion,
        deadline: Deadline,
    ) -> Decision {
        let concluded = timeout_at(deadline.at(), self.conclude(conclusion)).await;
        self.ending_in_time(concluded.ok(), deadline)
    }

    /// Turns a decision that was not made in time (`None`) into a rollback because of the time
    /// limit. The same happens if a statement failed because the server has enforced the limit.
    fn ending_in_time(&self, decided: Option<Decision>, deadline: Deadline) -> Decision {
        let scope = self.level.scope;
        let overrun = deadline.over(Phase::End);
        let error = match decided {
            None => Error::timeout(scope, overrun),
            Some(Decision::Undo {
                result: Err(error),
                cause,
                ..
            }) if deadline.is_over() && is_too_long::<DB>(&error) => {
                Error::timeout_on_the_server(scope, overrun, cause)
            }
            Some(decision) => return decision,
        };
        Decision::Undo {
            cause: Cause::of_scope(&error),
            result: Err(error),
            why: RollbackCause::TimedOut,
        }
    }

    /// Decides in time how a nested scope ends.
    pub(crate) async fn decide_in_time(
        &mut self,
        conclusion: Conclusion,
        deadline: Deadline,
    ) -> Decision {
        let decided = timeout_at(deadline.at(), self.decide(conclusion)).await;
        self.ending_in_time(decided.ok(), deadline)
    }

    /// Commits. If the answer does not come in time and the server can be asked what became of the
    /// transaction, it is asked, while the answer is still awaited. Whichever comes first decides
    /// which hooks run.
    async fn commit_or_ask(&mut self, deadline: Deadline) -> Result<Timestamp, Error> {
        let (id, server) = (self.id.clone(), self.session.server().map(str::to_owned));
        // Without these nobody can be asked, and the answer is all there is to wait for.
        let (Some(id), Some(server)) = (id, server) else {
            return self.commit_now().await;
        };
        let (db, scope) = (self.db().clone(), self.level.scope);
        let mut commit = pin!(self.commit_now());
        if let Ok(committed) = timeout_at(deadline.at_the_latest(), commit.as_mut()).await {
            return committed;
        }
        let asked = async {
            match verify(&db, &id, &server).await {
                Some(true) => Ok(Timestamp::now()),
                Some(false) => Err(Error::commit(scope, timed_out())),
                // The question proved nothing, so only the answer to the COMMIT can decide.
                None => pending().await,
            }
        };
        match select(commit, pin!(asked)).await {
            Either::Left((committed, _)) | Either::Right((committed, _)) => committed,
        }
    }
}

/// Returns whether the server has ended a statement because it took too long.
fn is_too_long<DB: Engine>(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| DB::TOO_LONG.contains(&&*code))
}

/// The result of a nested scope that could not be undone in time. The scope around it undoes it
/// before it sends anything else.
pub(crate) fn result_if_unfinished(
    verdict: Verdict,
    scope: &'static str,
    deadline: Deadline,
) -> Result<(), Error> {
    match verdict {
        Verdict::Commit => Err(Error::timeout(scope, deadline.over(Phase::End))),
        // The scope wanted the rollback, so its own outcome stands.
        Verdict::Rollback => Ok(()),
    }
}
