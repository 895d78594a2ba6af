//! Runs one scope, and interrupts it as its scenario says.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::record::{Fee, Outcome, Record, is_injected};
use crate::scenario::Interruption;

/// The time after which a scope counts as hung. It is far beyond all limits that are set.
const HUNG: Duration = Duration::from_secs(90);

/// The library under test: txn, or sqlx alone.
pub trait Subject: Clone + Send + Sync + 'static {
    /// Runs the record's scenario.
    fn transfer(
        &self,
        record: Arc<Record>,
    ) -> impl Future<Output = Result<Fee, Failure>> + Send + 'static;

    fn settling(&self) -> usize;
}

/// The result of a scope. `None` means that it was dropped, and an error is a panic.
type Ended = Result<Option<Result<Fee, Failure>>, Box<dyn Any + Send>>;

/// Runs one scope until it ends or is dropped, and records its outcome.
pub async fn run<S: Subject>(subject: S, record: &Arc<Record>) {
    let scope = subject.transfer(Arc::clone(record));
    let scope = DropRecorder::new(scope, subject, Arc::clone(record));
    let outcome = match timeout(HUNG, interrupted(scope, record)).await {
        Ok(ended) => outcome(ended),
        Err(_) => Outcome::Misbehaved("hung"),
    };
    record.ended(outcome);
}

async fn interrupted<F>(scope: F, record: &Record) -> Ended
where
    F: Future<Output = Result<Fee, Failure>> + Send + 'static,
{
    match record.scenario.interruption {
        Interruption::None | Interruption::Panic(_) => caught(scope.map(Some)).await,
        Interruption::Timeout(limit) => caught(timeout(limit, scope).map(Result::ok)).await,
        Interruption::Select(delay) => caught(unless_first(record.until_drop(delay), scope)).await,
        Interruption::Abort(delay) => aborted(scope, record.until_drop(delay)).await,
    }
}

async fn caught<T>(scope: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    AssertUnwindSafe(scope).catch_unwind().await
}

async fn aborted<F>(scope: F, delay: impl Future<Output = ()>) -> Ended
where
    F: Future<Output = Result<Fee, Failure>> + Send + 'static,
{
    let mut task = tokio::spawn(scope);
    let ended = unless_first(delay, &mut task).await;
    task.abort();
    let ended = match ended {
        Some(ended) => ended,
        None => task.await,
    };
    match ended {
        Ok(result) => Ok(Some(result)),
        Err(error) => error.try_into_panic().map_or(Ok(None), Err),
    }
}

/// Returns the output of `future`. If `delay` is over first, `future` is dropped and the result is
/// `None`.
pub async fn unless_first<F: Future>(
    delay: impl Future<Output = ()>,
    future: F,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = delay => None,
    }
}

fn outcome(ended: Ended) -> Outcome {
    match ended {
        Ok(None) => Outcome::Dropped,
        Ok(Some(Ok(fee))) => Outcome::Ok(fee),
        Ok(Some(Err(Failure::Unknown))) => Outcome::Unknown,
        Ok(Some(Err(failure))) => Outcome::Err(failure.name()),
        Err(payload) if is_injected(&*payload) => Outcome::Panicked,
        Err(_) => Outcome::Misbehaved("panicked by itself"),
    }
}

/// A future that records when, and in which phase of its scope, it was dropped.
struct DropRecorder<F, S: Subject> {
    scope: Option<Pin<Box<F>>>,
    subject: S,
    record: Arc<Record>,
}

impl<F, S: Subject> DropRecorder<F, S> {
    fn new(scope: F, subject: S, record: Arc<Record>) -> Self {
        Self {
            scope: Some(Box::pin(scope)),
            subject,
            record,
        }
    }
}

impl<F: Future, S: Subject> Future for DropRecorder<F, S> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        // The scope is taken out while it is polled, so that a panic is not recorded as a drop.
        let mut scope = this.scope.take().expect("polled after completion");
        let output = scope.as_mut().poll(cx);
        if output.is_pending() {
            this.scope = Some(scope);
        }
        output
    }
}

impl<F, S: Subject> Unpin for DropRecorder<F, S> {}

impl<F, S: Subject> Drop for DropRecorder<F, S> {
    fn drop(&mut self) {
        let Some(scope) = self.scope.take() else {
            return;
        };
        let (settling, now) = (self.subject.settling(), Instant::now());
        drop(scope);
        // Other scopes may begin and end settling meanwhile, so this is only nearly always right.
        self.record.dropped(now, self.subject.settling() > settling);
    }
}
