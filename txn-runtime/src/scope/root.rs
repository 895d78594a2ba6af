//! A scope that began a transaction.

use crate::engine::Engine;
use crate::tx::Tx;

/// The transaction of a root scope, which its body has by `&mut`: it can put another in its place.
pub(super) struct Root<DB: Engine> {
    pub(super) tx: Box<Tx<DB>>,
    /// The serial number of the transaction that the scope began.
    serial: u64,
    name: &'static str,
}

impl<DB: Engine> Root<DB> {
    pub(super) fn new(mut tx: Box<Tx<DB>>) -> Self {
        tx.owned_by_scope();
        let (serial, name) = (tx.serial, tx.name());
        Self { tx, serial, name }
    }

    /// Whether the body has left the transaction in its place.
    pub(super) fn has_its_own(&self) -> bool {
        self.tx.serial == self.serial
    }

    /// Whatever is in its place now; another transaction can only be rolled back.
    pub(super) fn into_tx(mut self) -> Box<Tx<DB>> {
        if !self.has_its_own() {
            self.tx.level.exchanged(self.name);
        }
        self.tx
    }
}
