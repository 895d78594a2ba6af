//! How a scope ended, and where it was then.

use crate::Error;
use crate::engine::Wire;
use crate::metrics::{Undone, words};

words! {
    /// How a scope ended, for its caller.
    Finish {
        Committed = "committed",
        /// A nested scope: what it did goes the way of what is around it.
        Kept = "kept",
        Joined = "joined",
        RolledBack = "rolled_back",
        Failed = "failed",
        TimedOut = "timed_out",
        /// Nobody knows whether it was committed.
        Unknown = "unknown",
        Dropped = "dropped",
        Panicked = "panicked",
    }
}

impl Finish {
    /// How a scope comes out that is rolled back.
    pub(crate) fn undone(result: &Result<(), Error>, why: Undone) -> Self {
        match (why, result) {
            (Undone::TimedOut, _) => Self::TimedOut,
            (_, Err(_)) => Self::Failed,
            (_, Ok(())) => Self::RolledBack,
        }
    }

    /// What makes a scope end that nobody has ended.
    pub(in crate::scope) fn unasked() -> Self {
        match std::thread::panicking() {
            true => Self::Panicked,
            false => Self::Dropped,
        }
    }
}

words! {
    /// Where a scope was when it ended.
    Moment {
        Waiting = "waiting",
        Beginning = "beginning",
        Body = "body",
        /// In the body, a statement in flight.
        Statement = "statement",
        Committing = "committing",
        RollingBack = "rolling_back",
        Hooks = "hooks",
        /// Between two attempts.
        Pausing = "pausing",
        /// It ran to its end.
        End = "end",
    }
}

impl Moment {
    /// A body was waiting for the answer to a statement, or it was not.
    pub(in crate::scope) fn seen_with(self, wire: Wire) -> Self {
        match (self, wire) {
            (Self::Body, Wire::Busy) => Self::Statement,
            _ => self,
        }
    }
}
