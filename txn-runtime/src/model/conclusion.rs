//! How a scope is to end: what the macro makes of the body's outcome, and hands to the end of the
//! scope.

use crate::model::error::Cause;
use crate::model::labels::{RollbackCause, ScopeOutcome};
use crate::model::outcome::Verdict;

/// How a scope ends, and why it is rolled back, if it is.
#[derive(Debug)]
pub struct Conclusion {
    /// The decision to commit or to roll back.
    pub(crate) verdict: Verdict,
    /// The text of the error that the body returned, if it returned one.
    pub(crate) reason: Option<String>,
    /// The scope is rolled back because its time was over.
    late: bool,
    /// The body's own error says that running the scope again may help.
    pub(crate) says_conflict: bool,
}

impl Conclusion {
    /// The conclusion of a body that has returned.
    #[inline(always)]
    pub(crate) fn new(verdict: Verdict, reason: Option<String>) -> Self {
        Self {
            verdict,
            reason,
            late: false,
            says_conflict: false,
        }
    }

    /// The conclusion of a body that was dropped because its time was over.
    pub(crate) fn timed_out(reason: String) -> Self {
        Self {
            late: true,
            ..Self::new(Verdict::Rollback, Some(reason))
        }
    }

    /// The outcome of a scope that has joined its caller's transaction, for metrics and spans.
    pub(crate) fn joined(&self) -> ScopeOutcome {
        match (self.verdict, self.late) {
            (Verdict::Commit, _) => ScopeOutcome::Joined,
            (Verdict::Rollback, false) => ScopeOutcome::RolledBack,
            (Verdict::Rollback, true) => ScopeOutcome::TimedOut,
        }
    }

    /// Returns why the scope is rolled back, for metrics.
    pub(crate) fn undone(&self) -> RollbackCause {
        match self.late {
            true => RollbackCause::TimedOut,
            false => RollbackCause::Outcome,
        }
    }

    /// Returns why the scope is rolled back, for errors and for hooks that run after a rollback.
    pub(crate) fn cause(self) -> Cause {
        let outcome = || "its outcome was a rollback".to_owned();
        Cause::new(self.reason.unwrap_or_else(outcome))
    }
}

impl Conclusion {
    /// Adds whether the body's own error says that running the scope again may help.
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
