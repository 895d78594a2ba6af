//! Hooks: what a scope registers for the end of its transaction.
//!
//! There are three kinds. `before_commit` hooks run inside of the transaction, right before COMMIT,
//! and can still fail it; they are kept here. `after_commit` and `after_rollback` hooks run without
//! a session, once the end is known; they are kept in the session, so that they are not lost if the
//! transaction is dropped.
//!
//! Each hook has the depth of the scope that registered it. If a nested scope succeeds, its hooks
//! move to the scope around it. If it is rolled back, its hooks for a commit are forgotten.

use std::future::Future;

use futures_core::future::BoxFuture;

use super::Tx;
use crate::engine::Engine;
use crate::model::error::{BoxError, Cause, Error};
use crate::model::labels;
use crate::observe::events::Event;
use crate::pool::hooks::{AfterRollback, CommittedHook, Hook};
use crate::pool::task_scopes;

/// A hook that runs inside of the transaction, and can fail it.
type BeforeCommit<DB> =
    Box<dyn for<'a> FnOnce(&'a mut Tx<DB>) -> BoxFuture<'a, Result<(), BoxError>> + Send>;

/// The `before_commit` hooks, each with the depth of the scope that it belongs to, in the order in
/// which they were registered.
pub(super) struct BeforeCommitHooks<DB: Engine>(Vec<(u32, BeforeCommit<DB>)>);

impl<DB: Engine> Default for BeforeCommitHooks<DB> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<DB: Engine> BeforeCommitHooks<DB> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the hooks of the nested scope at `depth`, which succeeded, to the scope around it.
    fn keep(&mut self, depth: u32) {
        for (at, _) in &mut self.0 {
            *at = (*at).min(depth - 1);
        }
    }

    /// Forgets the hooks of the nested scope at `depth`, which was rolled back, and of all scopes
    /// inside it.
    fn undo(&mut self, depth: u32) {
        self.0.retain(|(at, _)| *at < depth);
    }

    /// Takes the next hook of the scope at `depth`, or of one inside it.
    fn next(&mut self, depth: u32) -> Option<BeforeCommit<DB>> {
        let next = self.0.iter().position(|(at, _)| *at >= depth)?;
        Some(self.0.remove(next).1)
    }
}

impl<DB: Engine> Tx<DB> {
    /// Runs `hook` inside of the transaction, right before its COMMIT. If the hook fails, the
    /// transaction rolls back and returns the hook's error.
    ///
    /// This is meant for checks that concern the transaction as a whole. A hook belongs to the
    /// scope that registered it: if that scope is nested and rolls back, the hook is forgotten. A
    /// hook may register further hooks.
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
        self.before_commit.0.push((depth, Box::new(hook)));
    }

    /// Runs `hook` after the transaction has committed, and only then.
    ///
    /// This is meant for work that must not happen unless the transaction has committed, such as
    /// sending a mail. Hooks run in the order in which they were registered, one after the other,
    /// before the call returns. They hold no session, so that a hook may open a transaction of its
    /// own even in a pool of one. If a hook panics, that is logged as an event; the other hooks
    /// run, and the call returns `Ok`. A hook belongs to the scope that registered it: if that
    /// scope is nested and rolls back, the hook is forgotten.
    ///
    /// # Cancel safety
    ///
    /// If the caller is dropped, the hooks finish in the background.
    /// [`Db::settled`](crate::Db::settled) waits for them, so a hook must not call it. If the
    /// process ends, hooks that have not run are lost: work that must survive that belongs in a
    /// table.
    pub fn after_commit(&mut self, hook: impl Future<Output = ()> + Send + 'static) {
        let depth = self.depth();
        let hook = CommittedHook::new(self.name(), hook);
        self.session.hooks.push(depth, Hook::AfterCommit(hook));
    }

    /// Runs `hook` with the cause if the work of this scope was not committed: the scope failed,
    /// was dropped, or asked for a rollback, the commit was refused, or its fate is unknown
    /// ([`Cause::is_unknown`]).
    ///
    /// Like an [`after_commit`](Self::after_commit) hook, it holds no session. The hook of a nested
    /// scope that was rolled back runs when the transaction around it has ended, however that ends.
    ///
    /// # Cancel safety
    ///
    /// If the scope is dropped, it is not committed, so the hook runs in the background, after the
    /// rollback.
    pub fn after_rollback<F, Fut>(&mut self, hook: F)
    where
        F: FnOnce(Cause) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let depth = self.depth();
        let hook: AfterRollback = Box::new(move |cause| Box::pin(hook(cause)));
        self.session.hooks.push(depth, Hook::AfterRollback(hook));
    }

    /// Runs the `before_commit` hooks of the innermost level until none is left, those included
    /// that were registered by hooks. It stops at the first hook that fails.
    pub(crate) async fn run_before_commit(&mut self) -> Result<(), Error> {
        while let Some(hook) = self.before_commit.next(self.depth()) {
            let serial = self.serial;
            let session = self.session.activity().id();
            let result = task_scopes::within(session, hook(self)).await;
            if self.serial != serial {
                // The hook has put another transaction in the place of the one that is to commit,
                // whose own hooks are not to run.
                self.level.mark_exchanged(self.level.scope);
                return Ok(());
            }
            if let Err(error) = result {
                let which = labels::HookKind::BeforeCommit;
                self.db().events().tell(Event::HookFailed { which });
                return Err(Error::before_commit(self.level.scope, error));
            }
        }
        Ok(())
    }

    /// Gives the hooks of the innermost level, which succeeded, to the level around it.
    pub(super) fn keep_hooks(&mut self) {
        let depth = self.depth();
        self.before_commit.keep(depth);
        self.session.hooks.keep(depth);
    }

    /// Forgets the hooks of the innermost level that wait for a commit, because its work is undone.
    pub(super) fn undo_hooks(&mut self, cause: &Cause) {
        let depth = self.depth();
        self.before_commit.undo(depth);
        self.session.hooks.undo(depth, cause);
    }
}
