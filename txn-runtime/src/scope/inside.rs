//! Scopes inside of another's transaction: what their end and their drop do to it.
//!
//! Both kinds borrow the transaction, and change what it says about its innermost scope while they
//! are open. Their drop restores that in every case, and decides by whether the scope has ended:
//!
//! | scope | dropped before its end | transaction exchanged by the body |
//! |---|---|---|
//! | nested | its level is undone before the next statement | the other one is rollback-only |
//! | joined | the level that it joined is rollback-only | the other one is rollback-only |
//!
//! The drops send nothing and do not wait. They only write to the transaction, which the borrow
//! keeps from everybody else until then.

use tokio::time::timeout_at;

use crate::engine::Engine;
use crate::model::deadline::Deadline;
use crate::model::error::{Cause, Error};
use crate::model::labels::{ScopeOutcome, ScopePhase};
use crate::model::outcome::{Conclusion, Verdict};
use crate::observe::trace::{Spanned, Trace};
use crate::pool::hooks::{Due, Fate};
use crate::tx::shield::{EndReport, Shield};
use crate::tx::{Decision, Level, Tx, result_if_unfinished};

/// A scope on a savepoint. If it is dropped before it has ended, its work is undone before the
/// outer scope sends anything else.
///
/// It is made once its level was pushed, and ends in one of three ways:
///
/// - `end`, `end_in_time` and `end_in_sandbox` carry out the decision and pop the level. After
///   that, the drop has nothing left to do.
/// - The drop before or in the middle of that abandons the level, which never waits.
/// - If the body has exchanged the transaction, none of them sends anything, and the drop marks the
///   one that is in place now.
pub(super) struct Nested<'a, DB: Engine> {
    /// The transaction around the scope. Its innermost level is that of the scope.
    pub(super) tx: &'a mut Tx<DB>,
    /// The serial number of that transaction.
    serial: u64,
    /// The level around that of the scope. It is put back when the scope ends or is dropped;
    /// `None` says that this was done.
    pub(super) outer: Option<Level>,
    /// The span and figures of the scope.
    pub(super) trace: Trace,
}

impl<'a, DB: Engine> Nested<'a, DB> {
    /// A scope whose level was just pushed on `tx`.
    pub(super) fn new(tx: &'a mut Tx<DB>, outer: Option<Level>, trace: Trace) -> Self {
        let serial = tx.serial;
        Self {
            tx,
            serial,
            outer,
            trace,
        }
    }
}

impl<DB: Engine> Nested<'_, DB> {
    /// Ends the scope as its outcome says.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the scope is undone, whatever was decided: a nested scope counts as kept only once
    /// its level is closed.
    pub(super) async fn end(mut self, conclusion: Conclusion) -> Result<(), Error> {
        self.trace.ending(&conclusion);
        if self.is_exchanged() {
            return Ok(()); // The drop marks the transaction that is in place now.
        }
        let decision = self.tx.decide(conclusion).await;
        self.close(decision).await
    }

    /// Ends the scope within its time limit. If the time is over before the server has answered,
    /// the scope around it has to undo what is left.
    pub(super) async fn end_in_time(
        mut self,
        conclusion: Conclusion,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let (verdict, scope) = (conclusion.verdict, self.tx.name());
        self.trace.ending(&conclusion);
        if self.is_exchanged() {
            return Ok(()); // The drop marks what is there now.
        }
        let ending = async move {
            let decision = self.tx.decide_in_time(conclusion, deadline).await;
            self.close(decision).await
        };
        let ended = timeout_at(deadline.at_the_latest(), ending).await;
        ended.unwrap_or_else(|_| result_if_unfinished(verdict, scope, deadline))
    }

    /// Carries out the decision, and puts the outer level back. Until then, `outer` stays in its
    /// place, so that a drop at the await abandons the level.
    async fn close(mut self, decision: Decision) -> Result<(), Error> {
        let how = decision.finish(ScopeOutcome::Kept);
        let result = self.tx.close_level(decision).await;
        if let Some(outer) = self.outer.take() {
            self.tx.pop(outer);
        }
        self.finish(how, result)
    }

    /// Closes the span with the outcome, and returns the result.
    fn finish(mut self, how: ScopeOutcome, result: Result<(), Error>) -> Result<(), Error> {
        let mut trace = self.trace.take();
        trace.came_out(how, result.as_ref().err());
        trace.ended();
        result
    }
}

impl<DB: Engine> Nested<'_, DB> {
    /// Ends a `requires_new` scope in a sandbox: its outcome counts as committed or rolled back,
    /// and its hooks run.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the level is closed, the scope is undone. Dropped later, its hooks finish in
    /// the background.
    pub(super) async fn end_in_sandbox(
        mut self,
        conclusion: Conclusion,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        self.trace.ending(&conclusion);
        if self.is_exchanged() {
            return Ok(()); // The drop marks the transaction that is in place now.
        }
        let decision = match deadline {
            Some(deadline) => self.tx.conclude_in_time(conclusion, deadline).await,
            None => self.tx.conclude(conclusion).await,
        };
        let how = decision.finish(ScopeOutcome::Committed);
        let fate = match &decision {
            Decision::Keep => Fate::Committed,
            Decision::Undo { cause, .. } => Fate::RolledBack(cause.clone()),
        };
        let around = self.tx.session.hooks.count_around(self.tx.depth());
        let name = self.tx.name();
        let result = self.tx.close_level(decision).await;
        // Closing gives the hooks to the outer scope, which runs them if this is dropped meanwhile.
        let hooks = self.tx.session.hooks.split_off(around);
        if let Some(outer) = self.outer.take() {
            self.tx.pop(outer);
        }
        let db = self.tx.db().clone();
        let Some(lent) = db.sandbox_session() else {
            return self.finish(how, result);
        };
        if let Fate::Committed = fate {
            self.tx.spoil_sandbox_if_undone(lent, name);
        }
        let due = Due {
            hooks: lent.due(hooks, &fate),
            ending: None,
            token: Some(db.hooks_run()),
        };
        let mut trace = self.trace.take();
        let at = None;
        let ended = EndReport {
            result,
            how,
            at,
            due,
        };
        let result = Shield::new(db, &mut trace, async { ended }).await;
        trace.ended();
        result
    }
}

impl<DB: Engine> Nested<'_, DB> {
    /// Returns whether the body has put another transaction in the place of the one that it was
    /// given.
    fn is_exchanged(&self) -> bool {
        self.tx.serial != self.serial
    }
}

impl<DB: Engine> Drop for Nested<'_, DB> {
    fn drop(&mut self) {
        // The span of a scope that was dropped says in which phase, which the wire tells.
        self.trace.look_at(self.tx.session.state.wire());
        if self.is_exchanged() {
            // The transaction in place now lacks the work of this scope, and the outer level
            // belongs to the other one. So it may not commit, and the outer level is discarded.
            let outer = self.outer.take();
            self.tx
                .level
                .mark_exchanged(outer.map_or(self.tx.level.scope, |outer| outer.scope));
        } else if let Some(outer) = self.outer.take() {
            self.tx.abandon(outer);
        }
    }
}

/// A scope that runs in another's transaction and adds nothing to it. If it fails, or is dropped
/// before it has ended, the level that it has joined can only be rolled back.
///
/// It never sends anything, so `end` is not async. Both `end` and the drop take the scope's name
/// and count off the level again; the drop counts as a failure before.
pub(super) struct Joined<'a, DB: Engine> {
    /// The transaction that was joined. Its innermost level counts the scope and has its name.
    pub(super) tx: &'a mut Tx<DB>,
    /// The serial number of that transaction.
    serial: u64,
    /// The name of the scope around this one, which the drop puts back.
    outer: &'static str,
    /// The span of the scope. There are no figures beside it, which keeps a join cheap.
    pub(super) span: Spanned,
}

impl<'a, DB: Engine> Joined<'a, DB> {
    /// Makes `name` the innermost scope of the level.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn enter(tx: &'a mut Tx<DB>, name: &'static str, span: Spanned) -> Self {
        tx.level.joined += 1;
        let outer = std::mem::replace(&mut tx.level.scope, name);
        let serial = tx.serial;
        Self {
            tx,
            serial,
            outer,
            span,
        }
    }

    /// Ends the scope. If it is to be rolled back, marks the level.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn end(mut self, conclusion: Conclusion) {
        self.span.complete(conclusion.joined(), ScopePhase::End);
        if conclusion.verdict == Verdict::Rollback {
            self.tx.level.joined_failed(conclusion.cause());
        }
        self.leave();
        // Nothing is left for the drop, and the span, which is complete, is all that owns anything.
        std::mem::forget(self);
    }

    /// Takes the scope off the level.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn leave(&mut self) {
        if self.tx.serial != self.serial {
            // The count and the name are those of a transaction that is out of reach. The one in
            // place now may not commit.
            return self.tx.level.mark_exchanged(self.outer);
        }
        self.tx.level.joined -= 1;
        self.tx.level.scope = self.outer;
    }
}

impl<DB: Engine> Drop for Joined<'_, DB> {
    fn drop(&mut self) {
        let moment = ScopePhase::Body.seen_with(self.tx.session.state.wire());
        self.span.complete(ScopeOutcome::unasked(), moment);
        let why = match std::thread::panicking() {
            true => "it panicked",
            false => "it was dropped before it had ended",
        };
        self.tx.level.joined_failed(Cause::new(why));
        self.leave();
    }
}
