//! tokio's clock where it is paused, as in some tests, beside the time that a database takes.
//!
//! A paused clock leaps to the next timer whenever no task of its runtime has anything to do, and a
//! wait for a database looks like that: every limit would be over at once. tokio leaves the clock
//! alone while a blocking task runs, so each of these waits is accompanied by one that does nothing.
//! A body that sleeps, and a caller that waits for another's session, go on to live in tokio's time.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant as StdInstant};

use futures_util::future::{Either, select};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// Whether tokio's clock stands still. Takes a microsecond to find out.
pub(crate) fn is_paused() -> bool {
    let (before, begun) = (Instant::now(), StdInstant::now());
    while begun.elapsed() < Duration::from_micros(1) {}
    before == Instant::now()
}

/// Keeps a paused clock where it is until it is dropped.
#[derive(Debug)]
pub(crate) struct ClockHold(#[expect(dead_code, reason = "its drop is the signal")] Sender<()>);

impl ClockHold {
    pub(crate) fn new() -> Self {
        let (still, dropped) = channel();
        // Ends with an error, which is what it waits for.
        spawn_blocking(move || dropped.recv().is_err());
        Self(still)
    }
}

/// Waits for a database.
pub(crate) async fn real<F: Future>(future: F) -> F::Output {
    let _still = is_paused().then(ClockHold::new);
    future.await
}

/// Waits for `future`, but no longer than this on a clock that goes on, `None` then.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    if !is_paused() {
        return tokio::time::timeout(limit, future).await.ok();
    }
    let (still, dropped) = channel::<()>();
    let over = spawn_blocking(move || dropped.recv_timeout(limit).is_err());
    let output = match select(pin!(future), over).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    };
    drop(still);
    output
}

/// Sleeps on a clock that goes on.
pub(crate) async fn sleep(pause: Duration) {
    within(pause, pending::<()>()).await;
}
