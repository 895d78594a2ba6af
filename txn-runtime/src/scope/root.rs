//! A scope that began a transaction, and whether its body is run again in another.
//!
//! It has no `Drop`: the drop of the transaction that it owns drops the session, which is then
//! settled.

use crate::engine::Engine;
use crate::model::deadline::Deadline;
use crate::model::error::Error;
use crate::model::outcome::Verdict;
use crate::model::retry::Attempts;
use crate::tx::Tx;

/// The transaction of a root scope.
///
/// The body has it by `&mut`, and so can put another in its place (`std::mem::swap`). That is
/// noticed by the serial number when the scope ends.
pub(super) struct Root<DB: Engine> {
    /// The transaction that is in its place now.
    pub(super) tx: Box<Tx<DB>>,
    /// The serial number of the transaction that the scope began.
    serial: u64,
    /// The name of the scope.
    name: &'static str,
}

impl<DB: Engine> Root<DB> {
    /// Takes over a transaction that has just begun. From now on only the scope may commit it.
    pub(super) fn new(mut tx: Box<Tx<DB>>) -> Self {
        tx.owned_by_scope();
        let (serial, name) = (tx.serial, tx.name());
        Self { tx, serial, name }
    }

    /// Returns whether the transaction in place is the one that the scope began.
    pub(super) fn is_in_place(&self) -> bool {
        self.tx.serial == self.serial
    }

    /// Returns the transaction that is in place now. If it is another than the scope began, it can
    /// only be rolled back.
    pub(super) fn into_tx(mut self) -> Box<Tx<DB>> {
        if !self.is_in_place() {
            self.tx.level.mark_exchanged(self.name);
        }
        self.tx
    }
}

/// Pauses before the next attempt. Returns false if no attempt is left, or no time for one.
pub(super) async fn pause(attempts: &mut Attempts, deadline: Option<Deadline>) -> bool {
    match deadline {
        None => attempts.next().await,
        Some(deadline) => {
            let next = tokio::time::timeout_at(deadline.at(), attempts.next());
            next.await.unwrap_or(false)
        }
    }
}

/// Returns whether another attempt at a root scope may have a better result. `mended` says that a
/// conflict was met in the transaction that another attempt may avoid.
///
/// After a commit that may have happened, even in part, there is never another attempt: the body
/// would take effect twice.
pub(super) fn may_be_retried(verdict: Verdict, result: &Result<(), Error>, mended: bool) -> bool {
    match result {
        Ok(()) => verdict == Verdict::Rollback && mended,
        Err(error) if error.is_commit_unknown() || error.is_partly_committed() => false,
        Err(error) => mended || error.is_retryable(),
    }
}
