//! One attempt at a transaction: which one it is, and whether it has met others in a way that another attempt may mend.

use crate::model::error::{Class, Error};
use crate::model::retry::{Attempts, Tried};

/// What counts is what the server has said, whatever the body made of it. What was undone with a nested scope is over with it:
/// then it takes an error of the body's own that says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConflictHistory {
    pub(crate) attempts: Attempts,
    /// The savepoint that statements run under now.
    pub(crate) here: Option<u32>,
    /// How the first failed of the statements that another attempt may mend.
    met: Class,
    /// The savepoint that all of these ran under: names of later ones are higher.
    under: Option<u32>,
    undone: bool,
}

impl ConflictHistory {
    pub(crate) fn new() -> Self {
        Self {
            attempts: Attempts::ONE,
            here: None,
            met: Class::Other,
            under: None,
            undone: false,
        }
    }

    /// A statement has failed.
    pub(crate) fn meets(&mut self, class: Class) {
        if self.met == Class::Other {
            (self.met, self.under) = (class, self.here);
        } else if class != Class::Other {
            self.under = self.under.min(self.here);
        }
    }

    /// What was done since this savepoint is undone.
    pub(crate) fn undo(&mut self, savepoint: u32) {
        if self.under >= Some(savepoint) {
            self.undone |= self.met.may_pass();
            (self.met, self.under) = (Class::Other, None);
        }
    }

    pub(crate) fn met(&self) -> Class {
        self.met
    }

    /// Whether to run it again, if it comes to nothing; `said` if its body's own error asks for that.
    pub(crate) fn may_be_mended(&self, said: bool) -> bool {
        self.met.may_pass() || (self.undone && said)
    }

    /// For the error of a statement: says how often it was tried, should it be the last.
    pub(crate) fn tell(&self, error: sqlx::Error) -> sqlx::Error {
        match self.tried(Class::of(&error)) {
            tried @ Some(_) => Error::from(error).after(tried).into(),
            None => error,
        }
    }

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
