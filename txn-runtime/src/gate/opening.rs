//! Whether a caller waits for a session, or for one that is being opened for it: the pool does both in one future.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

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

/// Polls once. Only the poll in which a session begins to be opened says so.
pub(super) fn poll<F: Future>(
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
