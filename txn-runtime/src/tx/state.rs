//! What is known of a transaction's state, and how it is brought up to date.

use super::Tx;
use super::level::RollbackMark;
use crate::engine::{Engine, Place, statement};
use crate::model::conclusion::Conclusion;
use crate::model::conflicts::ConflictHistory;
use crate::model::error::{Cause, Error};
use crate::model::labels::{RollbackCause, ScopeOutcome};
use crate::model::outcome::Verdict;
use crate::model::transaction::{Health, OnWire};
use crate::model::untracked::Untracked;
use crate::pool::Session;
use crate::pool::executor::learns;

/// How a level is to end.
pub(crate) enum Decision {
    Keep,
    Undo {
        result: Result<(), Error>,
        cause: Cause,
        why: RollbackCause,
    },
}

impl Decision {
    /// How the scope comes out, if that ending is possible; `kept` if it is to be kept.
    pub(crate) fn finish(&self, kept: ScopeOutcome) -> ScopeOutcome {
        match self {
            Self::Keep => kept,
            Self::Undo { result, why, .. } => ScopeOutcome::undone(result, *why),
        }
    }
}

pub(super) const REFUSED: &str = "statement refused, an earlier one had failed";
const OVER: &str = "the transaction has ended";
const NOT_COMMITTED: &str = "not committed, a statement had failed and nothing was written";

impl<DB: Engine> Tx<DB> {
    pub(crate) async fn decide(&mut self, conclusion: Conclusion) -> Decision {
        if conclusion.verdict == Verdict::Rollback {
            let why = conclusion.undone();
            let cause = conclusion.cause();
            return Decision::Undo {
                result: Ok(()),
                cause,
                why,
            };
        }
        let scope = self.level.scope;
        if let Err(error) = self.steady(scope, NOT_COMMITTED).await {
            let cause = Cause::of_scope(&error);
            return Decision::Undo {
                result: Err(error),
                cause,
                why: RollbackCause::Aborted,
            };
        }
        let Some(mark) = self.level.mark.take() else {
            return Decision::Keep;
        };
        let RollbackMark { by, asked, cause } = *mark;
        let result = match by {
            None => Ok(()),
            Some(by) => Err(Error::rollback_only(scope, by, asked, cause.clone())),
        };
        let why = match asked {
            true => RollbackCause::Asked,
            false => RollbackCause::Joined,
        };
        Decision::Undo { result, cause, why }
    }

    /// Brings the transaction to where the next statement may be sent, or says why none may.
    pub(super) async fn steady(
        &mut self,
        scope: &'static str,
        what: &'static str,
    ) -> Result<(), Error> {
        if self.session.state.is_steady() {
            return Ok(());
        }
        // Boxed, or the future of every statement would have room for it.
        Box::pin(self.catch_up()).await;
        match self.session.state.health() {
            Some(Health::Active) => Ok(()),
            Some(Health::Ended(by)) => Err(Error::ended(scope, &**by, None)),
            Some(Health::Doubt(cause) | Health::Failed(cause) | Health::Gone(cause)) => {
                let tried = self.conflicts.tried(cause.class());
                Err(Error::aborted(scope, what, cause.clone()).after(tried))
            }
            None => Err(Error::aborted(scope, what, Cause::new(OVER))),
        }
    }

    /// What a drop has left behind is brought to its end.
    async fn catch_up(&mut self) {
        // Its failure is in the state.
        self.undo().await.ok();
        if self.session.state.looks_at_wire(DB::DROPS_BREAK) == OnWire::ToRead {
            self.finish_exchange().await;
        }
        self.make_sure().await;
        if self.session.state.is_in_doubt() {
            let inside = matches!(self.session.probe().await, Ok(true));
            self.session.state.resolves_doubt(inside);
        }
    }

    /// What has run may have ended the transaction. Where a dropped operation is still on the
    /// wire nothing can be asked, and the rollback that has to follow will tell.
    pub(super) async fn make_sure(&mut self) {
        let ends = match self.session.state.to_look_at() {
            Some(untracked) if self.session.state.is_idle() => untracked.ends,
            _ => return,
        };
        let is_over = ends || !matches!(self.session.probe().await, Ok(true));
        let untracked = self.session.state.looked_at(DB::RESTORE.is_some());
        if let (true, Some(untracked)) = (is_over, untracked) {
            self.session.state.ended_unseen(untracked);
        }
    }

    /// What is left of a row stream, or of a SAVEPOINT, is read and forgotten. If it was an error, the transaction
    /// has it.
    async fn finish_exchange(&mut self) {
        let drained = self.session.read_on().await;
        self.session.state.savepoint_set();
        self.session.release_if_broken();
        let problem = match drained {
            Ok(None) => return,
            Ok(Some(error)) | Err(error) => error,
        };
        learns::<DB>(&mut self.session.state, &mut self.conflicts, &problem);
    }

    pub(crate) async fn ready(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let scope = self.level.scope;
        let options = self.session.db().options();
        let reach = statement::check::<DB>(sql, Place::Transaction, options)
            .map_err(|why| Error::refused(scope, why))?;
        if self.level.terms.checked_by_keyword && statement::writes(sql) {
            let why = "refused: it writes, and the scope is `read_only`";
            return Err(Error::refused(scope, why).into());
        }
        self.steady(scope, REFUSED).await?;
        self.session.look_at_schema(sql).await?;
        if statement::sets_limits::<DB>(sql) {
            self.session.forget_limits();
        }
        if let Some(untracked) = Untracked::statement(sql, reach) {
            self.session.state.suspects(untracked);
        }
        self.session.look_for_leftovers(sql);
        self.session.activity().count_statement();
        Ok(())
    }

    pub(crate) fn watched(&mut self) -> (&mut Session<DB>, Option<&mut ConflictHistory>) {
        (&mut self.session, Some(&mut self.conflicts))
    }
}
