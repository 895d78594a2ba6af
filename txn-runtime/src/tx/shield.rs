//! The end of a scope runs to its end: in the caller's task, and if that is dropped, in one of its own.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use tokio::time::timeout;

use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::labels::{ScopeOutcome, ScopePhase};
use crate::observe::metrics::Timestamp;
use crate::observe::trace::Trace;
use crate::pool::Db;
use crate::pool::hooks::{self, Due};

/// What the end of a transaction comes to.
pub(crate) struct EndReport {
    pub(crate) result: Result<(), Error>,
    pub(crate) how: ScopeOutcome,
    /// When, if that is known.
    pub(crate) at: Option<Timestamp>,
    /// To run now that the session is back.
    pub(crate) due: Due,
}

/// A future that owns all it needs, and is spawned if it is dropped before it has finished.
///
/// # Cancel safety
///
/// Nothing is lost: dropped at any point, it goes on in the background. Only its result is then an event
/// instead of a value.
pub(crate) struct Shield<'a, DB: Engine> {
    stage: Stage,
    db: Db<DB>,
    /// Of the caller: if that is dropped, the rest is not part of it.
    trace: &'a mut Trace,
}

enum Stage {
    Decision(BoxFuture<'static, EndReport>),
    Hooks(BoxFuture<'static, ()>, Result<(), Error>),
    Done,
}

impl<'a, DB: Engine> Shield<'a, DB> {
    pub(crate) fn new(
        db: Db<DB>,
        trace: &'a mut Trace,
        ending: impl Future<Output = EndReport> + Send + 'static,
    ) -> Self {
        Self {
            stage: Stage::Decision(Box::pin(ending)),
            db,
            trace,
        }
    }
}

impl<DB: Engine> Shield<'_, DB> {
    /// Only hooks are left to run.
    pub(crate) fn is_past_the_end(&self) -> bool {
        !matches!(self.stage, Stage::Decision(_))
    }
}

impl<DB: Engine> Future for Shield<'_, DB> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            // Out of its place while it runs: what panics is not to be polled again.
            match std::mem::replace(&mut this.stage, Stage::Done) {
                Stage::Decision(mut ending) => match ending.as_mut().poll(cx) {
                    Poll::Ready(EndReport {
                        result,
                        how,
                        at,
                        due,
                    }) => {
                        this.trace.came_out(how, result.as_ref().err());
                        if due.hooks.is_empty() {
                            this.trace.ends_at(at);
                            return Poll::Ready(result);
                        }
                        let hooks = hooks::run(due, this.db.meter().clone());
                        this.stage = Stage::Hooks(Box::pin(hooks), result);
                    }
                    Poll::Pending => {
                        this.stage = Stage::Decision(ending);
                        return Poll::Pending;
                    }
                },
                Stage::Hooks(mut hooks, result) => {
                    if hooks.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(result);
                    }
                    this.stage = Stage::Hooks(hooks, result);
                    return Poll::Pending;
                }
                Stage::Done => unreachable!("polled after completion"),
            }
        }
    }
}

impl<DB: Engine> Drop for Shield<'_, DB> {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Decision(ending) => {
                let limit = self.db.settle_timeout();
                let meter = self.db.meter().clone();
                let commits = self.trace.is_at(ScopePhase::Committing);
                self.db.spawn(async move {
                    // Past the limit (invariant 4) the session goes the way of all that are left behind.
                    let ended = timeout(limit, ending).await.ok();
                    if commits {
                        let how = ended
                            .as_ref()
                            .map_or(ScopeOutcome::Unknown, |ended| ended.how);
                        meter.finished_after_drop(how);
                    }
                    if let Some(EndReport { result, due, .. }) = ended {
                        tell(&result);
                        hooks::run(due, meter).await;
                    }
                });
            }
            Stage::Hooks(hooks, _) => self.db.spawn(hooks),
            Stage::Done => {}
        }
    }
}

fn tell(result: &Result<(), Error>) {
    match result {
        Ok(()) => tracing::debug!(target: "txn", "a scope ended after its caller was dropped"),
        Err(error) => {
            tracing::warn!(target: "txn", %error, "a scope failed to end after its caller was dropped");
        }
    }
}
