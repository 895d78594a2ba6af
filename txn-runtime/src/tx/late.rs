//! The end of a transaction whose scope has a time limit.
//!
//! What comes before the COMMIT is part of what the limit is for: when the time is over, it is left, and the transaction
//! rolled back. A COMMIT or a ROLLBACK that is on its way is never left: the caller waits for its answer a little longer, and
//! then no more; it goes on behind the caller, as after a drop, and the hooks run as its fate says. What the caller is told
//! then stands in [`EndProgress`].

use std::borrow::BorrowMut;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{Either, select};
use tokio::time::timeout_at;

use super::Tx;
use super::state::Decision;
use crate::engine::{Engine, timed_out};
use crate::model::conclusion::Conclusion;
use crate::model::deadline::{Deadline, Phase};
use crate::model::error::{Cause, Error};
use crate::model::labels::{RollbackCause, ScopeOutcome};
use crate::model::outcome::Verdict;
use crate::observe::metrics::Timestamp;
use crate::observe::trace::Trace;
use crate::tx::shield::{EndReport, Shield};
use crate::tx::verify::verify;

/// What is known of an end that has not been reached yet.
enum EndState {
    /// The COMMIT is on its way, or what decides about it.
    Committing,
    /// It is rolled back, which leaves this for the caller.
    Undoing(Result<(), Error>, RollbackCause),
    /// The caller has been told, or there is nothing to tell any more.
    Told,
}

/// Written by the end, read by a caller that does not wait for it.
struct EndProgress(Mutex<EndState>);

impl EndProgress {
    fn becomes(&self, known: EndState) -> EndState {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, known)
    }
}

pub(super) async fn end_in_time<DB: Engine>(
    mut tx: impl BorrowMut<Tx<DB>> + Send + 'static,
    conclusion: Conclusion,
    deadline: Deadline,
    trace: &mut Trace,
) -> Result<(), Error> {
    let (db, scope) = (tx.borrow().db().clone(), tx.borrow().level.scope);
    let progress = Arc::new(EndProgress(Mutex::new(EndState::Committing)));
    let known = Arc::clone(&progress);
    let ending = async move {
        let ended = tx.borrow_mut().finish_in_time(conclusion, deadline, &known);
        let ended = ended.await;
        // The session is given back before hooks run.
        drop(tx);
        ended
    };
    let in_time = {
        let mut shield = Shield::new(db, trace, ending);
        match timeout_at(deadline.at_the_latest(), &mut shield).await {
            Ok(result) => Some(result),
            // What runs after the end has no limit.
            Err(_) if shield.is_past_the_end() => Some(shield.await),
            // Dropped, it goes on by itself.
            Err(_) => None,
        }
    };
    let result = in_time.unwrap_or_else(|| {
        let (result, how) = told(progress.becomes(EndState::Told), scope, deadline);
        trace.came_out(how, result.as_ref().err());
        result
    });
    trace.attempt_ended();
    result
}

/// What a caller gets that does not wait for the end.
fn told(
    known: EndState,
    scope: &'static str,
    deadline: Deadline,
) -> (Result<(), Error>, ScopeOutcome) {
    match known {
        EndState::Undoing(result, why) => {
            let how = ScopeOutcome::undone(&result, why);
            (result, how)
        }
        EndState::Committing | EndState::Told => {
            let late = Error::commit_late(scope, deadline.over(Phase::Commit));
            (Err(late), ScopeOutcome::Unknown)
        }
    }
}

impl<DB: Engine> Tx<DB> {
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
                progress.becomes(EndState::Undoing(result, why));
                let why = why.after(self.conflicts().met());
                self.db().meter().rolled_back(why);
                let rolled_back = Box::pin(self.roll_back()).await;
                let result = match progress.becomes(EndState::Told) {
                    EndState::Undoing(result, _) => result,
                    EndState::Committing | EndState::Told => Ok(()),
                };
                self.undone(rolled_back, result, cause, how)
            }
        }
    }

    /// Decides how a scope ends that is as good as a root scope, hooks before the commit included.
    pub(crate) async fn conclude_in_time(
        &mut self,
        conclusion: Conclusion,
        deadline: Deadline,
    ) -> Decision {
        let concluded = timeout_at(deadline.at(), self.conclude(conclusion)).await;
        self.ending_in_time(concluded.ok(), deadline)
    }

    /// How the innermost level is to end, whether or not that was decided in time.
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
            Some(ending) => return ending,
        };
        Decision::Undo {
            cause: Cause::of_scope(&error),
            result: Err(error),
            why: RollbackCause::TimedOut,
        }
    }

    /// Decides how a nested scope ends that has a time limit.
    pub(crate) async fn decide_in_time(
        &mut self,
        conclusion: Conclusion,
        deadline: Deadline,
    ) -> Decision {
        let decided = timeout_at(deadline.at(), self.decide(conclusion)).await;
        self.ending_in_time(decided.ok(), deadline)
    }

    /// Commits. Where the answer does not come and the server can be asked what became of it, it is: the hooks run as it says.
    async fn commit_or_ask(&mut self, deadline: Deadline) -> Result<Timestamp, Error> {
        let (id, server) = (self.id.clone(), self.session.server().map(str::to_owned));
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
                None => pending().await,
            }
        };
        match select(commit, pin!(asked)).await {
            Either::Left((committed, _)) | Either::Right((committed, _)) => committed,
        }
    }
}

fn is_too_long<DB: Engine>(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| DB::TOO_LONG.contains(&&*code))
}

/// What a nested scope comes to that could not be undone in time: that is left to the scope around it.
pub(crate) fn left_behind(
    verdict: Verdict,
    scope: &'static str,
    deadline: Deadline,
) -> Result<(), Error> {
    match verdict {
        Verdict::Commit => Err(Error::timeout(scope, deadline.over(Phase::End))),
        // Its own outcome stands.
        Verdict::Rollback => Ok(()),
    }
}
