//! Hooks: the user's work that waits for the end of a transaction.
//!
//! Hooks are kept on the session, because it is the session that learns first how the transaction
//! has ended, even if the scope was dropped. They run after the session went back to the pool, one
//! after the other in the order in which they were registered, and a drop of the caller does not
//! stop them.
//!
//! Each hook belongs to the depth of the scope that registered it. The life of a hook:
//!
//! ```text
//!   pushed at depth n ──► nested scope kept: moves to depth n - 1
//!                    │
//!                    ├──► nested scope rolled back: AfterCommit is dropped,
//!                    │                              AfterRollback becomes Due at depth n - 1
//!                    │
//!                    └──► transaction ended: runs, or is dropped
//! ```

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::model::error::Cause;
use crate::model::labels;
use crate::observe::events::{Event, Events};
use crate::observe::scopes::EndedScope;
use crate::pool::task_scopes;

/// A hook that is told why the transaction was rolled back.
pub(crate) type AfterRollback = Box<dyn FnOnce(Cause) -> BoxFuture<'static, ()> + Send>;

/// A hook that waits for the end of its transaction.
pub(crate) enum Hook {
    /// Runs if the transaction commits.
    AfterCommit(CommittedHook),
    /// Runs if the transaction, or the nested scope that it belongs to, is rolled back.
    AfterRollback(AfterRollback),
    /// Runs however the transaction ends: the nested scope that it belonged to was rolled back.
    Due(BoxFuture<'static, ()>),
}

/// A hook whose transaction has committed, from
/// [`Sandbox::committed_hooks`](crate::Sandbox::committed_hooks).
pub struct CommittedHook {
    /// The name of the scope that registered it.
    scope: &'static str,
    /// The hook itself. It is not polled before the commit.
    run: BoxFuture<'static, ()>,
}

impl CommittedHook {
    /// Makes a hook of the scope of this name.
    pub(crate) fn new(
        scope: &'static str,
        hook: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            scope,
            run: Box::pin(hook),
        }
    }

    /// Returns the name of the scope that registered the hook.
    #[must_use]
    pub fn scope(&self) -> &'static str {
        self.scope
    }

    /// Runs the hook.
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

    /// Registers a hook for the scope at `depth`.
    pub(crate) fn push(&mut self, depth: u32, hook: Hook) {
        self.0.push((depth, hook));
    }

    /// The nested scope at `depth` succeeded: its hooks become those of the scope around it.
    pub(crate) fn keep(&mut self, depth: u32) {
        for (at, _) in &mut self.0 {
            *at = (*at).min(depth - 1);
        }
    }

    /// The nested scope at `depth` was rolled back, and with it the scopes inside it.
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

    /// How many hooks belong to the scopes around the one at `depth`. They come first: while a
    /// scope is open, none around it can register any.
    pub(crate) fn count_around(&self, depth: u32) -> usize {
        self.0.iter().filter(|(at, _)| *at < depth).count()
    }

    /// Takes all hooks but the first `kept`.
    pub(crate) fn split_off(&mut self, kept: usize) -> Self {
        Self(self.0.split_off(kept))
    }

    /// Takes the hooks that run after a commit, and leaves the others.
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

    /// Returns what is to run now that the transaction has ended, and drops the rest.
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

/// How a transaction has ended, as its hooks see it.
#[derive(Debug)]
pub(crate) enum Fate {
    /// The server has confirmed the COMMIT.
    Committed,
    /// It was rolled back, for this reason.
    RolledBack(Cause),
}

/// Calls the hook inside of its own future, so that a panic in the call is caught like one in the
/// future that it returns.
fn call(hook: AfterRollback, cause: Cause) -> BoxFuture<'static, ()> {
    Box::pin(async move { hook(cause).await })
}

/// The hooks to run now that a transaction has ended, with what they keep alive while they run.
#[derive(Default)]
pub(crate) struct Due {
    /// The hooks themselves, in the order of registration.
    pub(crate) hooks: Vec<BoxFuture<'static, ()>>,
    /// Their scope, which is listed among the open ones until they are done.
    pub(crate) ending: Option<EndedScope>,
    /// [`Db::close`](crate::Db::close) waits for this token.
    pub(crate) token: Option<TaskTrackerToken>,
}

/// Runs the hooks one after the other. A panic in one is logged and counted, and the others run.
pub(crate) async fn run(due: Due, events: Events) {
    let Due {
        hooks,
        ending: _listed,
        token: _token,
    } = due;
    for hook in hooks {
        let hook = AssertUnwindSafe(task_scopes::outside(hook));
        if hook.catch_unwind().await.is_err() {
            let which = labels::HookKind::After;
            events.tell(Event::HookFailed { which });
        }
    }
}
