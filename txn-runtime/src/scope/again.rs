//! Whether and when a root scope is run again.

use crate::model::deadline::Deadline;
use crate::model::error::Error;
use crate::model::outcome::Verdict;
use crate::model::retry::Attempts;

/// Pauses before the next attempt; false if there is none left, or no time for it.
pub(super) async fn pause(attempts: &mut Attempts, deadline: Option<Deadline>) -> bool {
    match deadline {
        None => attempts.next().await,
        Some(deadline) => {
            let next = tokio::time::timeout_at(deadline.at(), attempts.next());
            next.await.unwrap_or(false)
        }
    }
}

/// Whether another attempt may mend what a root scope came to; `mended` if it may mend what was met on the way. Never after a
/// commit that may have happened, of all or of a part.
pub(super) fn may_be_retried(verdict: Verdict, result: &Result<(), Error>, mended: bool) -> bool {
    match result {
        Ok(()) => verdict == Verdict::Rollback && mended,
        Err(error) if error.is_commit_unknown() || error.is_partly_committed() => false,
        Err(error) => mended || error.is_retryable(),
    }
}
