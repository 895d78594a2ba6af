//! Dropping a future at an exact point: after so many polls, not after so much time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// More than any operation here needs.
pub(crate) const PLENTY: usize = 500;

/// Polls the future this often, each time that it asks for it, and drops it if it is not complete then.
pub(crate) async fn poll_at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    if polls == 0 {
        return None;
    }
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|cx| {
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Whether the future waits for something; it stays as it is.
pub(crate) async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
}
