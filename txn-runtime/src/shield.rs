//! The end of a scope runs to its end: in the caller's task, and if that is dropped, in one of its own.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use tokio::time::timeout;

use crate::engine::Engine;
use crate::hooks::{self, Due};
use crate::{Db, Error};

/// What the end of a transaction comes to: its result, and the hooks to run now that the session is back.
pub(crate) type Ended = (Result<(), Error>, Due);

/// A future that owns all it needs, and is spawned if it is dropped before it has finished.
///
/// # Cancel safety
///
/// Nothing is lost: dropped at any point, it goes on in the background. Only its result is then an event
/// instead of a value.
pub(crate) struct Shield<DB: Engine> {
    stage: Stage,
    db: Db<DB>,
}

enum Stage {
    Ending(BoxFuture<'static, Ended>),
    Hooks(BoxFuture<'static, ()>, Result<(), Error>),
    Done,
}

impl<DB: Engine> Shield<DB> {
    pub(crate) fn new(db: Db<DB>, ending: impl Future<Output = Ended> + Send + 'static) -> Self {
        Self {
            stage: Stage::Ending(Box::pin(ending)),
            db,
        }
    }
}

impl<DB: Engine> Future for Shield<DB> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            // Out of its place while it runs: what panics is not to be polled again.
            match std::mem::replace(&mut this.stage, Stage::Done) {
                Stage::Ending(mut ending) => match ending.as_mut().poll(cx) {
                    Poll::Ready((result, due)) if due.hooks.is_empty() => {
                        return Poll::Ready(result);
                    }
                    Poll::Ready((result, due)) => {
                        this.stage = Stage::Hooks(Box::pin(hooks::run(due)), result);
                    }
                    Poll::Pending => {
                        this.stage = Stage::Ending(ending);
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

impl<DB: Engine> Drop for Shield<DB> {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Ending(ending) => {
                let limit = self.db.settle_timeout();
                self.db.spawn(async move {
                    // Past the limit (invariant 4) the session goes the way of all that are left behind.
                    if let Ok((result, due)) = timeout(limit, ending).await {
                        tell(&result);
                        hooks::run(due).await;
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
