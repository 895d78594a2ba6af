//! The shield: the end of a scope always runs to completion, in the caller's task or in its own.
//!
//! A [`Shield`] goes through three stages, forwards only:
//!
//! ```text
//!   Decision ──── answered, hooks due ────► Hooks ──── all have run ────► Done
//!      │                                                                   ▲
//!      └───────────────────── answered, no hooks ──────────────────────────┘
//! ```
//!
//! The caller's task polls the boxed future of the stage. If the shield is dropped before `Done`,
//! its `Drop` moves that box into a task of its own, on the runtime of the `Db` (invariant 8). A
//! COMMIT or ROLLBACK that is in flight has the settle timeout there (invariant 4); hooks have no
//! limit. So a future is never polled by two tasks, and is dropped half-way only by the settle
//! timeout, or together with its runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use tokio::time::timeout;

use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::labels::{ScopeOutcome, ScopePhase};
use crate::observe::events::Event;
use crate::observe::kept::Timestamp;
use crate::observe::trace::Trace;
use crate::pool::Db;
use crate::pool::hooks::{self, Due};

/// The result of the end of a transaction.
pub(crate) struct EndReport {
    /// The result that the scope's end returns.
    pub(crate) result: Result<(), Error>,
    /// The outcome that metrics and spans count.
    pub(crate) how: ScopeOutcome,
    /// When the transaction ended, if the moment was measured already.
    pub(crate) at: Option<Timestamp>,
    /// The hooks to run once the session is given back.
    pub(crate) due: Due,
}

/// A future that owns everything it needs, and is spawned if it is dropped before it has finished.
///
/// # Cancel safety
///
/// Nothing is lost: dropped at any point, it goes on in the background. Its result is then an event
/// instead of a value.
pub(crate) struct Shield<'a, DB: Engine> {
    /// The part of the end that is left to do.
    stage: Stage,
    /// The handle whose runtime the rest is spawned on.
    db: Db<DB>,
    /// The caller's span and figures. The background task does not get them: what happens after
    /// the caller was dropped is not part of the caller's scope.
    trace: &'a mut Trace,
}

/// How far an end has come.
enum Stage {
    /// The transaction is about to be committed or rolled back.
    Decision(BoxFuture<'static, EndReport>),
    /// The transaction has ended with this result, and its hooks run.
    Hooks(BoxFuture<'static, ()>, Result<(), Error>),
    /// Nothing is left to do, or a future panicked.
    Done,
}

impl<'a, DB: Engine> Shield<'a, DB> {
    /// Shields `ending`, which commits or rolls back and gives the session back.
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
    /// Returns whether the transaction has ended, so that only hooks are left to run.
    pub(crate) fn is_past_the_end(&self) -> bool {
        !matches!(self.stage, Stage::Decision(_))
    }
}

impl<DB: Engine> Future for Shield<'_, DB> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            // The future is taken out while it is polled, so that one that panics is neither polled
            // again nor spawned by the drop.
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
                        let hooks = hooks::run(due, this.db.events().clone());
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
                let events = self.db.events().clone();
                // A scope that was to commit is counted once more when it has ended, because its
                // own figures say only that it was dropped.
                let commits = self.trace.is_at(ScopePhase::Committing);
                self.db.spawn(async move {
                    // Past the limit (invariant 4) the future is dropped, and its session with it,
                    // which is then settled like that of any dropped scope.
                    let ended = timeout(limit, ending).await.ok();
                    if commits {
                        let how = ended
                            .as_ref()
                            .map_or(ScopeOutcome::Unknown, |ended| ended.how);
                        events.tell(Event::FinishedAfterDrop { how });
                    }
                    if let Some(EndReport { result, due, .. }) = ended {
                        log_background_result(&result);
                        hooks::run(due, events).await;
                    }
                });
            }
            Stage::Hooks(hooks, _) => self.db.spawn(hooks),
            Stage::Done => {}
        }
    }
}

/// Logs the result of an end whose caller was dropped, since there is nobody to return it to.
fn log_background_result(result: &Result<(), Error>) {
    match result {
        Ok(()) => tracing::debug!(target: "txn", "a scope ended after its caller was dropped"),
        Err(error) => {
            tracing::warn!(
                target: "txn", %error,
                "a scope failed to end after its caller was dropped"
            );
        }
    }
}
