//! Scopes inside of a transaction: what their end and their drop do to it.

use crate::Tx;
use crate::engine::Engine;
use crate::error::{Cause, Error};
use crate::hooks::Conclusion;
use crate::outcome::Verdict;
use crate::tx::Level;

/// A scope on a savepoint. Dropped, its work is undone before the outer scope sends anything else.
pub(super) struct Nested<'a, DB: Engine> {
    pub(super) tx: &'a mut Tx<DB>,
    /// The level around this one; taken when the scope has ended.
    pub(super) outer: Option<Level>,
}

impl<DB: Engine> Nested<'_, DB> {
    pub(super) async fn end(mut self, conclusion: Conclusion) -> Result<(), Error> {
        let result = self.tx.close_level(conclusion).await;
        if let Some(outer) = self.outer.take() {
            self.tx.pop(outer);
        }
        result
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
    name: &'static str,
    outer: &'static str,
    ended: bool,
}

impl<'a, DB: Engine> Joined<'a, DB> {
    pub(super) fn enter(tx: &'a mut Tx<DB>, name: &'static str) -> Self {
        tx.level.joined += 1;
        let outer = std::mem::replace(&mut tx.level.scope, name);
        Self {
            tx,
            name,
            outer,
            ended: false,
        }
    }

    pub(super) fn end(mut self, conclusion: Conclusion) {
        self.ended = true;
        if conclusion.verdict == Verdict::Rollback {
            self.tx.level.joined_failed(self.name, conclusion.cause());
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
            self.tx.level.joined_failed(self.name, Cause::new(why));
        }
    }
}
