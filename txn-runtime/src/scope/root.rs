//! A scope that began a transaction.
//!
//! It has no `Drop`: the drop of the transaction that it owns drops the session, which is then
//! settled.

use crate::engine::Engine;
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
