//! What a variant of [`sqlx::Error`] has no room for, for whoever turns it back at once.
//!
//! An error that comes out of a future is turned into another by `?` in the same poll, so in the same thread and task. It is
//! remembered for these, and taken by the first that asks. If a task has made two of them, nobody can tell which is which, and
//! neither comes back: a figure that is missing is better than one of another wait. What nobody asks for is forgotten.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tokio::task;

use super::Error;

/// Long enough for a thread that is kept from running; too short for the next wait that is in vain.
const FRESH: Duration = Duration::from_secs(1);
/// Of so many tasks, so that nothing piles up.
const MOST: usize = 32;

thread_local! {
    static MADE: RefCell<Vec<Made>> = const { RefCell::new(Vec::new()) };
}

struct Made {
    /// `None` outside of any.
    by: Option<task::Id>,
    at: Instant,
    /// `None` if there were two.
    error: Option<Error>,
}

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

/// What was made into this variant.
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
