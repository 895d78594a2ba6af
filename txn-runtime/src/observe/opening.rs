//! Whether a caller waits for a session, or for one that is being opened for it: the pool does both in one future.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::task::coop;

thread_local! {
    /// What is being polled in this thread has begun to open a session.
    static OPENS: Cell<bool> = const { Cell::new(false) };
}

/// What a caller is about that has no session yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Queue,
    /// Nobody else is to have this session.
    Opening,
}

/// Tells those who poll it that this is no wait for others.
pub(crate) async fn opening<F: Future>(open: F) -> F::Output {
    OPENS.set(true);
    open.await
}

/// Polls once, even if the task has used up what tokio gives it for one turn: then all that is asked for looks busy, which is no wait
/// for others. (128 answers that were there at once are enough, of whatever of tokio's.)
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

/// Polls once. Only the poll in which a session begins to be opened says so.
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
