//! Scopes inside of a transaction: what their end and their drop do to it.

use crate::Tx;
use crate::engine::Engine;
use crate::error::{Cause, Error};
use crate::hooks::{Conclusion, Due, Fate};
use crate::options::Options;
use crate::outcome::Verdict;
use crate::shield::Shield;
use crate::tx::{Ending, Level};

/// A scope on a savepoint. Dropped, its work is undone before the outer scope sends anything else.
pub(super) struct Nested<'a, DB: Engine> {
    pub(super) tx: &'a mut Tx<DB>,
    /// The level around this one; taken when the scope has ended.
    pub(super) outer: Option<Level>,
}

impl<DB: Engine> Nested<'_, DB> {
    pub(super) async fn end(mut self, conclusion: Conclusion) -> Result<(), Error> {
        let ending = self.tx.decide(conclusion).await;
        let result = self.tx.close_level(ending).await;
        if let Some(outer) = self.outer.take() {
            self.tx.pop(outer);
        }
        result
    }
}

impl<DB: Engine> Nested<'_, DB> {
    /// In a sandbox: its outcome is as good as committed or rolled back, and its hooks run.
    pub(super) async fn end_on_its_own(mut self, conclusion: Conclusion) -> Result<(), Error> {
        let ending = self.tx.conclude(conclusion).await;
        let fate = match &ending {
            Ending::Keep => Fate::Committed,
            Ending::Undo { cause, .. } => Fate::RolledBack(cause.clone()),
        };
        let hooks = self.tx.session.hooks.split(self.tx.depth());
        let name = self.tx.name();
        let result = self.tx.close_level(ending).await;
        if let Some(outer) = self.outer.take() {
            self.tx.pop(outer);
        }
        let db = self.tx.db().clone();
        let Some(lent) = db.lent() else {
            return result;
        };
        if let Fate::Committed = fate {
            lent.spoil_if_undone(self.tx, name);
        }
        let due = Due {
            hooks: lent.due(hooks, &fate),
            ending: None,
        };
        Shield::new(db, async { (result, due) }).await
    }
}

impl<DB: Engine> Drop for Nested<'_, DB> {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            self.tx.abandon(outer);
        }
    }
}

/// A scope inside of another's transaction. If it fails, or is dropped, that transaction is rollback-only.
pub(super) struct Joined<'a, DB: Engine> {
    pub(super) tx: &'a mut Tx<DB>,
    options: &'static Options,
    outer: &'static str,
    ended: bool,
}

impl<'a, DB: Engine> Joined<'a, DB> {
    #[inline(always)]
    pub(super) fn enter(tx: &'a mut Tx<DB>, options: &'static Options) -> Self {
        tx.level.joined += 1;
        let outer = std::mem::replace(&mut tx.level.scope, options.name);
        Self {
            tx,
            options,
            outer,
            ended: false,
        }
    }

    #[inline(always)]
    pub(super) fn end(mut self, conclusion: Conclusion) {
        self.ended = true;
        if conclusion.verdict == Verdict::Rollback {
            self.tx
                .level
                .joined_failed(self.options.name, conclusion.cause());
        }
    }
}

impl<DB: Engine> Drop for Joined<'_, DB> {
    fn drop(&mut self) {
        self.tx.level.joined -= 1;
        self.tx.level.scope = self.outer;
        if !self.ended {
            let why = match std::thread::panicking() {
                true => "it panicked",
                false => "it was dropped before it had ended",
            };
            self.tx
                .level
                .joined_failed(self.options.name, Cause::new(why));
        }
    }
}
