//! Work that waits for the end of the transaction: right before its commit, after it, or after its rollback.
//!
//! Hooks travel with the session, because whatever becomes of the transaction, the session gets to know it first. They run when
//! the session is back in the pool, in the order in which they were registered, shielded like the commit.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::engine::Engine;
use crate::error::{BoxError, Cause};
use crate::metrics::Meter;
use crate::scopes::Ending;
use crate::{Tx, metrics};

/// A hook that still has a say: it runs inside of the transaction.
pub(crate) type BeforeCommit<DB> =
    Box<dyn for<'a> FnOnce(&'a mut Tx<DB>) -> BoxFuture<'a, Result<(), BoxError>> + Send>;

type AfterRollback = Box<dyn FnOnce(Cause) -> BoxFuture<'static, ()> + Send>;

pub(crate) enum Hook<DB: Engine> {
    BeforeCommit(BeforeCommit<DB>),
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
    fn new(scope: &'static str, hook: impl Future<Output = ()> + Send + 'static) -> Self {
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
pub(crate) struct Hooks<DB: Engine>(Vec<(u32, Hook<DB>)>);

impl<DB: Engine> Default for Hooks<DB> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<DB: Engine> Hooks<DB> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, depth: u32, hook: Hook<DB>) {
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
                Hook::BeforeCommit(_) | Hook::AfterCommit(_) => None,
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

    /// Whether some are to run inside of the transaction.
    pub(crate) fn are_before_commit(&self) -> bool {
        let before = |(_, hook): &(u32, Hook<DB>)| matches!(hook, Hook::BeforeCommit(_));
        self.0.iter().any(before)
    }

    /// The next hook to run inside of the transaction, of the scope at `depth` or inside it.
    pub(crate) fn before_commit(&mut self, depth: u32) -> Option<BeforeCommit<DB>> {
        let next =
            |(at, hook): &(u32, Hook<DB>)| *at >= depth && matches!(hook, Hook::BeforeCommit(_));
        let next = self.0.iter().position(next)?;
        match self.0.remove(next) {
            (_, Hook::BeforeCommit(hook)) => Some(hook),
            _ => None,
        }
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

impl<DB: Engine> fmt::Debug for Hooks<DB> {
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
    pub(crate) ending: Option<Ending>,
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
            meter.hook_failed(metrics::Hook::After);
            tracing::error!(target: "txn", "a hook panicked; the transaction had ended, and the other hooks run");
        }
    }
}

impl<DB: Engine> Tx<DB> {
    /// Runs `hook` inside of the transaction, right before its COMMIT; if it fails, the transaction rolls back and returns
    /// its error.
    ///
    /// For checks that concern the transaction as a whole. It belongs to the scope that registered it: if that is nested and
    /// rolls back, the hook is forgotten. It may register further hooks.
    ///
    /// ```
    /// # use txn_runtime::{Db, Error, Sqlite};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// # let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    /// let mut tx = db.begin().await?;
    /// tx.before_commit(|tx| Box::pin(async move {
    ///     let sum: i64 = sqlx::query_scalar("SELECT 1").fetch_one(tx).await?;
    ///     if sum == 0 { Ok(()) } else { Err("debit and credit differ".into()) }
    /// }));
    /// let error = tx.commit().await.unwrap_err();
    /// assert!(error.to_string().contains("debit and credit differ"));
    /// # Ok(()) }
    /// ```
    pub fn before_commit<F>(&mut self, hook: F)
    where
        F: for<'a> FnOnce(&'a mut Self) -> BoxFuture<'a, Result<(), BoxError>> + Send + 'static,
    {
        let depth = self.depth();
        let hook = Hook::BeforeCommit(Box::new(hook));
        self.session.hooks.push(depth, hook);
    }

    /// Runs `hook` after the transaction has committed, and only then: for what must not happen unless it has, such as
    /// sending a mail.
    ///
    /// Hooks run in the order in which they were registered, one after the other, before the call returns, and on no session:
    /// a hook may open a transaction of its own even in a pool of one. A hook that panics is an event; the others run, and the
    /// call returns `Ok`. It belongs to the scope that registered it: if that is nested and rolls back, the hook is forgotten.
    ///
    /// # Cancel safety
    ///
    /// If the caller is dropped, hooks finish in the background; [`Db::settled`](crate::Db::settled) waits for them, so a hook must not.
    /// If the process ends, a hook that had not run is lost: what must survive that belongs into a table.
    pub fn after_commit(&mut self, hook: impl Future<Output = ()> + Send + 'static) {
        let depth = self.depth();
        let hook = CommittedHook::new(self.name(), hook);
        self.session.hooks.push(depth, Hook::AfterCommit(hook));
    }

    /// Runs `hook` with the cause when what this scope has done was not committed: it failed, was dropped, asked for a
    /// rollback, the commit was refused, or its fate is unknown ([`Cause::is_unknown`]).
    ///
    /// Like [`after_commit`](Self::after_commit) it runs on no session. The hook of a nested scope that was rolled back runs when
    /// the transaction around it has ended, however that ends.
    ///
    /// # Cancel safety
    ///
    /// A drop is one of the ways not to commit: the hook runs in the background then, after the rollback.
    pub fn after_rollback<F, Fut>(&mut self, hook: F)
    where
        F: FnOnce(Cause) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let depth = self.depth();
        let hook: AfterRollback = Box::new(move |cause| Box::pin(hook(cause)));
        self.session.hooks.push(depth, Hook::AfterRollback(hook));
    }

    /// Lets the hooks of the innermost level that belong inside of the transaction run, until there are none.
    pub(crate) async fn run_before_commit(&mut self) -> Result<(), crate::Error> {
        while let Some(hook) = self.session.hooks.before_commit(self.depth()) {
            if let Err(error) = hook(self).await {
                let which = metrics::Hook::BeforeCommit;
                self.db().meter().hook_failed(which);
                return Err(crate::Error::before_commit(self.level.scope, error));
            }
        }
        Ok(())
    }
}
