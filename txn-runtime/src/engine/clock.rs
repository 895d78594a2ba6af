//! Waits for a database while tokio's clock is paused, as in some tests.
//!
//! A paused clock advances to the next timer whenever no task of its runtime has anything to do,
//! and a wait for a database looks like that: every time limit would be over at once. tokio does
//! not advance the clock while a blocking task runs, so each of these waits is accompanied by a
//! blocking task that does nothing. A body that sleeps, and a caller that waits for a session of
//! another scope, still see the time of tokio's clock.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant as StdInstant};

use futures_util::future::{Either, select};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// Returns whether tokio's clock is paused. It takes a microsecond to find out, in which the thread
/// spins.
pub(crate) fn is_paused() -> bool {
    let (before, begun) = (Instant::now(), StdInstant::now());
    while begun.elapsed() < Duration::from_micros(1) {}
    before == Instant::now()
}

/// Keeps a paused clock where it is until it is dropped. While it exists, a blocking task of the
/// runtime waits for the other end of the channel.
#[derive(Debug)]
pub(crate) struct ClockHold(#[expect(dead_code, reason = "its drop is the signal")] Sender<()>);

impl ClockHold {
    /// Holds the clock from now on.
    pub(crate) fn new() -> Self {
        let (hold, dropped) = channel();
        // `recv` returns an error when the sender is dropped.
        spawn_blocking(move || dropped.recv().is_err());
        Self(hold)
    }
}

/// Waits for a database, during which a paused clock stays where it is.
pub(crate) async fn real<F: Future>(future: F) -> F::Output {
    let _hold = is_paused().then(ClockHold::new);
    future.await
}

/// Waits for `future`, at most for `limit` of real time; `None` if that is over.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    if !is_paused() {
        return tokio::time::timeout(limit, future).await.ok();
    }
    let (hold, dropped) = channel::<()>();
    let over = spawn_blocking(move || dropped.recv_timeout(limit).is_err());
    let output = match select(pin!(future), over).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    };
    drop(hold);
    output
}

/// Sleeps in real time, also while tokio's clock is paused.
pub(crate) async fn sleep(pause: Duration) {
    within(pause, pending::<()>()).await;
}
