//! Tells a caller that waits in the queue from one for whom a session is being opened.
//!
//! The pool does both in one future, and does not say which. So the code that opens a session sets
//! a flag of its thread, and whoever polls the future clears the flag before the poll and reads it
//! after. Nothing else runs on the thread in between, so that the flag belongs to this poll alone.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::task::coop;

thread_local! {
    /// The future that this thread is polling has begun to open a session.
    static OPENS: Cell<bool> = const { Cell::new(false) };
}

/// The stage that a caller's wait for a session is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits until another caller gives a session back.
    Queue,
    /// A session is being opened, which no other caller will get.
    Opening,
}

/// Runs `open`, and lets whoever polls know that a session is being opened.
pub(crate) async fn opening<F: Future>(open: F) -> F::Output {
    OPENS.set(true);
    open.await
}

/// Polls once, also if the task has used up its cooperative budget. Without a budget, everything of
/// tokio's returns `Pending` although it is ready, which would look like a wait for others. 128
/// operations that are ready at once use a budget up.
pub(crate) fn poll_for_certain<F: Future>(
    mut future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Result<F::Output, Stage> {
    match poll(future.as_mut(), cx) {
        Err(Stage::Queue) if !coop::has_budget_remaining() => {
            poll(pin!(coop::unconstrained(future)), cx)
        }
        polled => polled,
    }
}

/// Polls once. Only the poll in which the opening begins returns [`Stage::Opening`]; later polls of
/// the same opening return [`Stage::Queue`].
pub(crate) fn poll<F: Future>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Result<F::Output, Stage> {
    OPENS.set(false);
    match future.poll(cx) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending if OPENS.get() => Err(Stage::Opening),
        Poll::Pending => Err(Stage::Queue),
    }
}
