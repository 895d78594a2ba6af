//! What a scope is to end with.

use crate::model::error::Cause;
use crate::model::labels::{RollbackCause, ScopeOutcome};
use crate::model::outcome::Verdict;

/// How a scope ends, and why, if it is not with a commit.
#[derive(Debug)]
pub struct Conclusion {
    pub(crate) verdict: Verdict,
    pub(crate) reason: Option<String>,
    /// It is a rollback because the scope's time was over.
    late: bool,
    /// The body's own error says that it is one after which to run it again.
    pub(crate) says_conflict: bool,
}

impl Conclusion {
    #[inline(always)]
    pub(crate) fn new(verdict: Verdict, reason: Option<String>) -> Self {
        Self {
            verdict,
            reason,
            late: false,
            says_conflict: false,
        }
    }

    pub(crate) fn timed_out(reason: String) -> Self {
        Self {
            late: true,
            ..Self::new(Verdict::Rollback, Some(reason))
        }
    }

    /// How a scope comes out that has joined.
    pub(crate) fn joined(&self) -> ScopeOutcome {
        match (self.verdict, self.late) {
            (Verdict::Commit, _) => ScopeOutcome::Joined,
            (Verdict::Rollback, false) => ScopeOutcome::RolledBack,
            (Verdict::Rollback, true) => ScopeOutcome::TimedOut,
        }
    }

    /// Why what it is the end of is rolled back.
    pub(crate) fn undone(&self) -> RollbackCause {
        match self.late {
            true => RollbackCause::TimedOut,
            false => RollbackCause::Outcome,
        }
    }

    pub(crate) fn cause(self) -> Cause {
        let outcome = || "its outcome was a rollback".to_owned();
        Cause::new(self.reason.unwrap_or_else(outcome))
    }
}

impl Conclusion {
    /// What the outcome's error says of itself, for a scope that may be run again.
    #[must_use]
    pub fn said(mut self, says_conflict: bool) -> Self {
        self.says_conflict = says_conflict;
        self
    }
}

impl From<Verdict> for Conclusion {
    fn from(verdict: Verdict) -> Self {
        Self::new(verdict, None)
    }
}
