//! A short memory of errors that became a variant of [`sqlx::Error`] without room for them.
//!
//! When an error comes out of a future, `?` turns it into another error type in the same poll, and
//! therefore in the same thread and the same task. So each thread remembers the error under the id
//! of its task, and the first conversion back in that task takes it. If a task has made two of
//! them, nobody can tell which is which, and neither comes back: a missing figure is better than
//! the figure of another wait. An error that nobody asks for is dropped after a second, or when the
//! memory is full.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tokio::task;

use super::Error;

/// How long an error is remembered: long enough for a thread that is not scheduled for a while, and
/// too short for the next wait to time out.
const FRESH: Duration = Duration::from_secs(1);
/// The number of tasks for which a thread remembers an error, so that nothing piles up.
const MOST: usize = 32;

thread_local! {
    /// The errors that the tasks of this thread have turned into another. Nothing else reads them.
    static MADE: RefCell<Vec<Made>> = const { RefCell::new(Vec::new()) };
}

/// The error that a task has turned into one of sqlx's.
struct Made {
    /// The task; `None` outside of any.
    by: Option<task::Id>,
    /// When the conversion was made.
    at: Instant,
    /// `None` if the task has made two.
    error: Option<Error>,
}

/// Remembers an error that is about to become a variant without room for it.
pub(super) fn remember(error: Error) {
    tracing::debug!(target: "txn", problem = %error, "told in the words of sqlx");
    let (by, at) = (task::try_id(), Instant::now());
    MADE.with_borrow_mut(|all| {
        all.retain(|made| at.duration_since(made.at) < FRESH);
        if let Some(made) = all.iter_mut().find(|made| made.by == by) {
            (made.at, made.error) = (at, None);
            return;
        }
        if all.len() == MOST {
            all.remove(0);
        }
        let error = Some(error);
        all.push(Made { by, at, error });
    });
}

/// Takes the error that this task has turned into this variant, if it is still known.
pub(super) fn recall(variant: &sqlx::Error) -> Option<Error> {
    let by = task::try_id();
    let made = MADE.with_borrow_mut(|all| {
        let place = all.iter().position(|made| made.by == by)?;
        Some(all.swap_remove(place))
    })?;
    let fits = |error: &Error| error.is_closed() == matches!(variant, sqlx::Error::PoolClosed);
    made.error
        .filter(|error| made.at.elapsed() < FRESH && fits(error))
}
