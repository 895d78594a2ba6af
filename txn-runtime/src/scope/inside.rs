//! Scopes inside of a transaction: what their end and their drop do to it.

use tokio::time::timeout_at;

use crate::engine::Engine;
use crate::model::conclusion::Conclusion;
use crate::model::deadline::Deadline;
use crate::model::error::{Cause, Error};
use crate::model::labels::{ScopeOutcome, ScopePhase};
use crate::model::outcome::Verdict;
use crate::observe::trace::{Spanned, Trace};
use crate::pool::hooks::{Due, Fate};
use crate::tx::shield::{EndReport, Shield};
use crate::tx::{Decision, Level, Tx, left_behind};

/// A scope on a savepoint. Dropped, its work is undone before the outer scope sends anything else.
pub(super) struct Nested<'a, DB: Engine> {
    pub(super) tx: &'a mut Tx<DB>,
    /// The serial number of that transaction.
    serial: u64,
    /// The level around this one; taken when the scope has ended.
    pub(super) outer: Option<Level>,
    pub(super) trace: Trace,
}

impl<'a, DB: Engine> Nested<'a, DB> {
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
    pub(super) async fn end(mut self, conclusion: Conclusion) -> Result<(), Error> {
        self.trace.ending(&conclusion);
        if self.is_exchanged() {
            return Ok(()); // The drop marks what is there now.
        }
        let ending = self.tx.decide(conclusion).await;
        self.close(ending).await
    }

    /// The same within its time. Dropped where that is over, it leaves what is to be undone to the scope around it.
    pub(super) async fn end_in_time(
        mut self,
        conclusion: Conclusion,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let (verdict, scope) = (conclusion.verdict, self.tx.name());
        self.trace.ending(&conclusion);
        let ending = async move {
            let ending = self.tx.decide_in_time(conclusion, deadline).await;
            self.close(ending).await
        };
        let ended = timeout_at(deadline.at_the_latest(), ending).await;
        ended.unwrap_or_else(|_| left_behind(verdict, scope, deadline))
    }

    async fn close(mut self, ending: Decision) -> Result<(), Error> {
        let how = ending.finish(ScopeOutcome::Kept);
        let result = self.tx.close_level(ending).await;
        if let Some(outer) = self.outer.take() {
            self.tx.pop(outer);
        }
        self.finish(how, result)
    }

    fn finish(mut self, how: ScopeOutcome, result: Result<(), Error>) -> Result<(), Error> {
        let mut trace = self.trace.take();
        trace.came_out(how, result.as_ref().err());
        trace.ended();
        result
    }
}

impl<DB: Engine> Nested<'_, DB> {
    /// In a sandbox: its outcome is as good as committed or rolled back, and its hooks run.
    pub(super) async fn end_on_its_own(
        mut self,
        conclusion: Conclusion,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        self.trace.ending(&conclusion);
        if self.is_exchanged() {
            return Ok(()); // The drop marks what is there now.
        }
        let ending = match deadline {
            Some(deadline) => self.tx.conclude_in_time(conclusion, deadline).await,
            None => self.tx.conclude(conclusion).await,
        };
        let how = ending.finish(ScopeOutcome::Committed);
        let fate = match &ending {
            Decision::Keep => Fate::Committed,
            Decision::Undo { cause, .. } => Fate::RolledBack(cause.clone()),
        };
        let hooks = self.tx.session.hooks.split(self.tx.depth());
        let name = self.tx.name();
        let result = self.tx.close_level(ending).await;
        if let Some(outer) = self.outer.take() {
            self.tx.pop(outer);
        }
        let db = self.tx.db().clone();
        let Some(lent) = db.sandbox_session() else {
            return self.finish(how, result);
        };
        if let Fate::Committed = fate {
            self.tx.spoils_if_undone(lent, name);
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
    /// The body has put another transaction in the place of the one that it was given.
    fn is_exchanged(&self) -> bool {
        self.tx.serial != self.serial
    }
}

impl<DB: Engine> Drop for Nested<'_, DB> {
    fn drop(&mut self) {
        self.trace.look_at(self.tx.session.state.wire());
        if self.is_exchanged() {
            // The other transaction cannot commit: the level around this one is lost to it.
            let outer = self.outer.take();
            self.tx
                .level
                .exchanged(outer.map_or(self.tx.level.scope, |outer| outer.scope));
        } else if let Some(outer) = self.outer.take() {
            self.tx.abandon(outer);
        }
    }
}

/// A scope inside of another's transaction. If it fails, or is dropped, that transaction is rollback-only.
pub(super) struct Joined<'a, DB: Engine> {
    pub(super) tx: &'a mut Tx<DB>,
    /// The serial number of that transaction.
    serial: u64,
    outer: &'static str,
    ended: bool,
    /// No more than that: to join costs nothing.
    pub(super) span: Spanned,
}

impl<'a, DB: Engine> Joined<'a, DB> {
    #[inline(always)]
    pub(super) fn enter(tx: &'a mut Tx<DB>, name: &'static str, span: Spanned) -> Self {
        tx.level.joined += 1;
        let outer = std::mem::replace(&mut tx.level.scope, name);
        let serial = tx.serial;
        Self {
            tx,
            serial,
            outer,
            ended: false,
            span,
        }
    }

    #[inline(always)]
    pub(super) fn end(mut self, conclusion: Conclusion) {
        self.ended = true;
        self.span.complete(conclusion.joined(), ScopePhase::End);
        if conclusion.verdict == Verdict::Rollback {
            self.tx.level.joined_failed(conclusion.cause());
        }
    }
}

impl<DB: Engine> Drop for Joined<'_, DB> {
    fn drop(&mut self) {
        if !self.ended {
            let moment = ScopePhase::Body.seen_with(self.tx.session.state.wire());
            self.span.complete(ScopeOutcome::unasked(), moment);
            let why = match std::thread::panicking() {
                true => "it panicked",
                false => "it was dropped before it had ended",
            };
            self.tx.level.joined_failed(Cause::new(why));
        }
        if self.tx.serial != self.serial {
            // The body has put another transaction in the place of the one that it was given.
            return self.tx.level.exchanged(self.outer);
        }
        self.tx.level.joined -= 1;
        self.tx.level.scope = self.outer;
    }
}
