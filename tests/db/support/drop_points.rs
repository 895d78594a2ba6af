//! Futures are dropped at an exact point: after so many polls, and not after so much time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// This is more polls than any operation here needs.
pub(crate) const PLENTY: usize = 500;
/// This is more polls than any operation needs whose answers come byte by byte.
const MOST: usize = 5_000;

/// Polls the future at most this often, each time it asks to be polled, and then drops it.
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

/// Polls the future once and returns whether it still waits; the future is kept.
pub(crate) async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
}

/// Polls the future again and again, whether it has asked for it or not.
pub(crate) async fn eager<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        future.as_mut().poll(cx)
    })
    .await
}

/// The point at which a future is dropped: after so many polls, either right away or once the
/// future has been woken for the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DropPoint {
    pub(crate) polls: usize,
    pub(crate) woken: bool,
}

impl DropPoint {
    /// Runs the future to this point and drops it there. Returns its output if it completes before.
    pub(crate) async fn drop_there<F: Future>(self, future: F) -> Option<F::Output> {
        if self.polls == 0 {
            return None;
        }
        let mut future = pin!(future);
        let mut polled = 0;
        poll_fn(|cx| {
            if polled == self.polls {
                return Poll::Ready(None);
            }
            polled += 1;
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if polled == self.polls && !self.woken => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// Calls `trial` with every point at which a future can be dropped, until it returns that the
/// future was complete before.
///
/// The number of points varies from run to run with what is ready when.
pub(crate) async fn at_every_point(mut trial: impl AsyncFnMut(DropPoint) -> bool) {
    for polls in 0..MOST {
        let right_away = trial(DropPoint {
            polls,
            woken: false,
        })
        .await;
        let once_woken = trial(DropPoint { polls, woken: true }).await;
        if right_away && once_woken {
            return;
        }
    }
    panic!("not complete after {MOST} polls");
}
