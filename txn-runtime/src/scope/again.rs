//! Decides whether and when a root scope is run again.

use crate::model::deadline::Deadline;
use crate::model::error::Error;
use crate::model::outcome::Verdict;
use crate::model::retry::Attempts;

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
