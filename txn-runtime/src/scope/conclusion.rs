//! What a scope is to end with.

use super::trace::Finish;
use crate::Verdict;
use crate::error::Cause;
use crate::metrics::Undone;

/// How a scope ends, and why, if it is not with a commit.
#[derive(Debug)]
pub struct Conclusion {
    pub(crate) verdict: Verdict,
    reason: Option<String>,
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
    pub(crate) fn joined(&self) -> Finish {
        match (self.verdict, self.late) {
            (Verdict::Commit, _) => Finish::Joined,
            (Verdict::Rollback, false) => Finish::RolledBack,
            (Verdict::Rollback, true) => Finish::TimedOut,
        }
    }

    /// Why what it is the end of is rolled back.
    pub(crate) fn undone(&self) -> Undone {
        match self.late {
            true => Undone::TimedOut,
            false => Undone::Outcome,
        }
    }

    pub(crate) fn cause(self) -> Cause {
        let outcome = || "its outcome was a rollback".to_owned();
        Cause::new(self.reason.unwrap_or_else(outcome))
    }
}

impl From<Verdict> for Conclusion {
    fn from(verdict: Verdict) -> Self {
        Self::new(verdict, None)
    }
}
