//! Brings a transaction's state up to date, before a statement and before the end of a scope.
//!
//! A drop cannot wait, so whatever a dropped future left behind (an answer to read, a savepoint to
//! roll back to, a failure that may have ended the transaction) is only written down in the
//! session's [`State`](crate::model::transaction::State). The next operation finds it there. On the
//! fast path that is one check, `is_steady`; on the slow path `recover` does the work in this
//! order, and each step only sees what the steps before it have left:
//!
//! ```text
//!   roll back to the savepoint of a nested scope that failed or was dropped
//!     ──► read the rest of an answer that nobody has read
//!     ──► ask whether untracked code has ended the transaction
//!     ──► ask whether the failed statement has ended the transaction
//! ```
//!
//! `recover` may itself be dropped at any await. The state then still says what is left to do, and
//! the next caller starts again from there.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryFutureExt;
use sqlx::{Describe, Execute, Executor, SqlStr};

use super::Tx;
use super::level::RollbackMark;
use crate::engine::statement::Statement;
use crate::engine::{Engine, Place, Step, statement};
use crate::model::conflicts::ConflictHistory;
use crate::model::error::{Cause, Error};
use crate::model::labels::{RollbackCause, ScopeOutcome};
use crate::model::outcome::{Conclusion, Verdict};
use crate::model::transaction::{Health, OnWire};
use crate::pool::Session;
use crate::pool::executor::{By, Rows, executor, executor_on_its_session, learns, operate};

/// How a level is to end. The decision is made before anything is sent, and is carried out once.
pub(crate) enum Decision {
    /// The level's work is kept: COMMIT for the whole transaction, RELEASE for a savepoint.
    Keep,
    /// The level's work is undone: ROLLBACK, or ROLLBACK TO a savepoint.
    Undo {
        /// The result that the scope's end returns: `Ok` if its own outcome asked for the rollback,
        /// else the error that forces it.
        result: Result<(), Error>,
        /// The reason, as hooks and outer scopes get to see it.
        cause: Cause,
        /// The reason, as metrics and spans count it.
        why: RollbackCause,
    },
}

impl Decision {
    /// Returns the outcome of the scope if the decision can be carried out. For
    /// [`Keep`](Self::Keep), that is `kept`.
    pub(crate) fn finish(&self, kept: ScopeOutcome) -> ScopeOutcome {
        match self {
            Self::Keep => kept,
            Self::Undo { result, why, .. } => ScopeOutcome::undone(result, *why),
        }
    }
}

/// The text of the error if a statement is refused.
pub(super) const REFUSED: &str = "statement refused, an earlier one had failed";
/// The text of the error if a commit is refused.
const NOT_COMMITTED: &str = "not committed, a statement had failed and nothing was written";
/// The cause of an error that comes after the end of the transaction.
const OVER: &str = "the transaction has ended";

impl<DB: Engine> Tx<DB> {
    /// Decides how the innermost level ends, from three things in this order: the outcome of its
    /// body, the health of the transaction, and the mark that a joined scope may have left.
    ///
    /// Dropped, it has decided nothing and may be called again.
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
        if let Err(error) = self.ensure_usable(scope, NOT_COMMITTED).await {
            let cause = Cause::of_scope(&error);
            return Decision::Undo {
                result: Err(error),
                cause,
                why: RollbackCause::Aborted,
            };
        }
        // The transaction is healthy, and the body wants to commit. Only a mark can forbid it.
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

    /// Brings the transaction to a state in which the next statement may be sent.
    ///
    /// # Errors
    ///
    /// If no further statement may be sent in the transaction. `what` is the text of the error.
    pub(super) async fn ensure_usable(
        &mut self,
        scope: &'static str,
        what: &'static str,
    ) -> Result<(), Error> {
        if self.session.state.is_steady() {
            return Ok(());
        }
        // Boxed: see the head of scope.rs.
        Box::pin(self.recover()).await;
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

    /// Finishes what drops and failures have left to do. It returns nothing, because whatever goes
    /// wrong is reported to the state, and the caller reads the health from there.
    async fn recover(&mut self) {
        // A failure is in the state.
        self.undo().await.ok();
        if self.session.state.looks_at_wire(DB::DROPS_BREAK) == OnWire::ToRead {
            self.finish_exchange().await;
        }
        self.check_still_open().await;
        if self.session.state.is_in_doubt() {
            let inside = matches!(self.session.is_in_its_transaction().await, Ok(true));
            self.session.state.resolves_doubt(inside);
        }
    }

    /// Asks the server whether the transaction is still open, if untracked code may have ended it.
    ///
    /// While a dropped operation is still on the wire, nothing can be asked. The rollback that has
    /// to follow then finds out.
    pub(super) async fn check_still_open(&mut self) {
        let ends = match self.session.state.to_look_at() {
            Some(untracked) if self.session.state.is_idle() => untracked.ends,
            _ => return,
        };
        let is_over = ends || !matches!(self.session.is_in_its_transaction().await, Ok(true));
        let untracked = self.session.looked_at();
        if let (true, Some(untracked)) = (is_over, untracked) {
            self.session.state.ended_unseen(untracked);
        }
    }

    /// Reads and discards the rest of a row stream, or the answer to a SAVEPOINT. An error in it
    /// counts as a failure of the transaction.
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

    /// Checks that the transaction may send `sql`, and prepares the session for it. The executor
    /// calls it in front of every statement.
    ///
    /// # Errors
    ///
    /// If the statement is not allowed in a transaction or in a `read_only` scope, or no further
    /// statement may be sent at all.
    pub(crate) async fn ready(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let scope = self.level.scope;
        let options = self.session.db().options();
        let reach = statement::check::<DB>(sql, Place::Transaction, options)
            .map_err(|why| Error::refused(scope, why))?;
        if self.level.terms.checked_by_keyword && statement::writes::<DB>(sql) {
            let why = "refused: it writes, and the scope is `read_only`";
            return Err(Error::refused(scope, why).into());
        }
        self.ensure_usable(scope, REFUSED).await?;
        self.session.look_at_schema(sql).await?;
        self.session.note_statement(sql, reach);
        Ok(())
    }

    /// Returns the session, and the history that a failure of the statement is to be recorded in.
    pub(crate) fn watched(&mut self) -> (&mut Session<DB>, Option<&mut ConflictHistory>) {
        (&mut self.session, Some(&mut self.conflicts))
    }
}

executor_on_its_session!(Tx);
