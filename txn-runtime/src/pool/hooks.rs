//! Work that waits for the end of the transaction, and what is to run when it has come.
//!
//! These hooks travel with the session, because whatever becomes of the transaction, the session gets to know it first. They run
//! when the session is back in the pool, in the order in which they were registered, shielded like the commit.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::model::error::Cause;
use crate::model::labels;
use crate::observe::metrics::Meter;
use crate::observe::scopes::EndedScope;

pub(crate) type AfterRollback = Box<dyn FnOnce(Cause) -> BoxFuture<'static, ()> + Send>;

pub(crate) enum Hook {
    AfterCommit(CommittedHook),
    AfterRollback(AfterRollback),
    /// Of a nested scope that was rolled back: to be run however the transaction ends.
    Due(BoxFuture<'static, ()>),
}

/// A hook whose transaction has committed, from [`Sandbox::committed_hooks`](crate::Sandbox::committed_hooks).
pub struct CommittedHook {
    scope: &'static str,
    run: BoxFuture<'static, ()>,
}

impl CommittedHook {
    pub(crate) fn new(
        scope: &'static str,
        hook: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            scope,
            run: Box::pin(hook),
        }
    }

    /// The scope that registered it.
    #[must_use]
    pub fn scope(&self) -> &'static str {
        self.scope
    }

    /// Runs it.
    pub async fn run(self) {
        self.run.await;
    }
}

impl fmt::Debug for CommittedHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommittedHook")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// The hooks of a transaction, each with the depth of the scope that registered it.
#[derive(Default)]
pub(crate) struct Hooks(Vec<(u32, Hook)>);

impl Hooks {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, depth: u32, hook: Hook) {
        self.0.push((depth, hook));
    }

    /// The nested scope at `depth` succeeded: its hooks are now those of the scope around it.
    pub(crate) fn keep(&mut self, depth: u32) {
        for (at, _) in &mut self.0 {
            *at = (*at).min(depth - 1);
        }
    }

    /// The nested scope at `depth` was rolled back, and those inside it.
    pub(crate) fn undo(&mut self, depth: u32, cause: &Cause) {
        let hooks = std::mem::take(&mut self.0).into_iter();
        self.0 = hooks
            .filter_map(|(at, hook)| match hook {
                _ if at < depth => Some((at, hook)),
                Hook::Due(hook) => Some((at, Hook::Due(hook))),
                Hook::AfterRollback(hook) => {
                    Some((depth - 1, Hook::Due(call(hook, cause.clone()))))
                }
                Hook::AfterCommit(_) => None,
            })
            .collect();
    }

    /// Takes those of the scope at `depth`, and of the scopes inside it.
    pub(crate) fn split(&mut self, depth: u32) -> Self {
        let (inner, outer) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(at, _)| *at >= depth);
        self.0 = outer;
        Self(inner)
    }

    /// Takes those that a commit makes due.
    pub(crate) fn committed(&mut self) -> Vec<CommittedHook> {
        let mut committed = Vec::new();
        for (at, hook) in std::mem::take(&mut self.0) {
            match hook {
                Hook::AfterCommit(hook) => committed.push(hook),
                other => self.0.push((at, other)),
            }
        }
        committed
    }

    /// What to run now that the transaction has ended.
    pub(crate) fn after(self, fate: &Fate) -> Vec<BoxFuture<'static, ()>> {
        let due = |(_, hook)| match (hook, fate) {
            (Hook::Due(hook), _) => Some(hook),
            (Hook::AfterCommit(hook), Fate::Committed) => Some(hook.run),
            (Hook::AfterRollback(hook), Fate::RolledBack(cause)) => Some(call(hook, cause.clone())),
            _ => None,
        };
        self.0.into_iter().filter_map(due).collect()
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}

/// What became of a transaction.
#[derive(Debug)]
pub(crate) enum Fate {
    Committed,
    RolledBack(Cause),
}

/// A hook that panics when it is called is one that panics when it runs.
fn call(hook: AfterRollback, cause: Cause) -> BoxFuture<'static, ()> {
    Box::pin(async move { hook(cause).await })
}

/// The hooks to run now that a transaction has ended.
#[derive(Default)]
pub(crate) struct Due {
    pub(crate) hooks: Vec<BoxFuture<'static, ()>>,
    /// Their scope, for as long as they run.
    pub(crate) ending: Option<EndedScope>,
    /// The `Db` is not closed before they are done.
    pub(crate) token: Option<TaskTrackerToken>,
}

/// Runs them one after the other; a panic in one is an event and stops nothing.
pub(crate) async fn run(due: Due, meter: Meter) {
    let Due {
        hooks,
        ending: _listed,
        token: _token,
    } = due;
    for hook in hooks {
        if AssertUnwindSafe(hook).catch_unwind().await.is_err() {
            meter.hook_failed(labels::HookKind::After);
            tracing::error!(target: "txn", "a hook panicked; the transaction had ended, and the other hooks run");
        }
    }
}
