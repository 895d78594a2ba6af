//! The conflicts that one attempt at a transaction has met, and whether another attempt may help.

use crate::model::error::{Class, Error};
use crate::model::retry::{Attempts, Tried};

/// The conflicts of one attempt, by the savepoints that they happened under.
///
/// What counts is what the server has said, whatever the body made of it: a conflict that still
/// stands in the transaction is a reason to run the scope again, even if the body returns another
/// error. A conflict that was undone with a nested scope is a reason only if the body's own error
/// says that it failed because of one.
///
/// It belongs to the transaction of one attempt, and is only written through `&mut`. The next
/// attempt starts with a new one, which takes over `attempts`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConflictHistory {
    /// Which attempt this is.
    pub(crate) attempts: Attempts,
    /// The savepoint that statements run under now; `None` in the root scope.
    pub(crate) here: Option<u32>,
    /// The class of the first conflict that still stands; [`Class::Other`] if there is none.
    met: Class,
    /// The outermost savepoint that these conflicts happened under. Savepoints are numbered in
    /// the order in which they were set, so that the lowest number is the outermost.
    under: Option<u32>,
    /// A conflict was undone with a nested scope.
    undone: bool,
}

impl ConflictHistory {
    /// No conflicts, in an attempt that is the only one.
    pub(crate) fn new() -> Self {
        Self {
            attempts: Attempts::ONE,
            here: None,
            met: Class::Other,
            under: None,
            undone: false,
        }
    }

    /// A statement has failed under the savepoint [`here`](Self::here).
    pub(crate) fn meets(&mut self, class: Class) {
        if self.met == Class::Other {
            (self.met, self.under) = (class, self.here);
        } else if class != Class::Other {
            self.under = self.under.min(self.here);
        }
    }

    /// Everything since this savepoint is undone, and the conflicts that happened under it with it.
    pub(crate) fn undo(&mut self, savepoint: u32) {
        if self.under >= Some(savepoint) {
            self.undone |= self.met.may_pass();
            (self.met, self.under) = (Class::Other, None);
        }
    }

    /// The class of the first conflict that still stands.
    pub(crate) fn met(&self) -> Class {
        self.met
    }

    /// Returns whether another attempt may help if this one fails; `said` if the body's own error
    /// says that it failed because of a conflict.
    pub(crate) fn may_be_mended(&self, said: bool) -> bool {
        self.met.may_pass() || (self.undone && said)
    }

    /// Adds to the error of a statement how often the scope was tried, in case it is the last one.
    pub(crate) fn tell(&self, error: sqlx::Error) -> sqlx::Error {
        match self.tried(Class::of(&error)) {
            tried @ Some(_) => Error::from(error).after(tried).into(),
            None => error,
        }
    }

    /// Returns how often the scope was tried, if `class` is one that is tried again.
    pub(crate) fn tried(&self, class: Class) -> Option<Tried> {
        self.attempts.tried().filter(|_| class.may_pass())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_met_under_a_savepoint_is_over_when_that_is_undone() {
        let mut conflicts = ConflictHistory::new();
        conflicts.here = Some(2);
        conflicts.meets(Class::Busy);
        conflicts.undo(3);
        assert!(conflicts.may_be_mended(false), "it was met outside of that");
        conflicts.undo(1);
        assert!(!conflicts.may_be_mended(false) && conflicts.may_be_mended(true));
    }

    #[test]
    fn what_was_met_twice_is_over_when_both_are_undone() {
        let mut conflicts = ConflictHistory::new();
        conflicts.here = Some(2);
        conflicts.meets(Class::Deadlock);
        conflicts.here = Some(1);
        conflicts.meets(Class::Other);
        conflicts.meets(Class::Busy);
        conflicts.undo(2);
        assert!(conflicts.may_be_mended(false));
        conflicts.undo(1);
        assert!(!conflicts.may_be_mended(false));
    }

    #[test]
    fn a_server_that_has_hung_up_would_do_so_again() {
        let mut conflicts = ConflictHistory::new();
        conflicts.meets(Class::HungUp);
        assert!(!conflicts.may_be_mended(true));
    }
}
