//! What a scope asks to be done at the end of the transaction: right before its commit, after it, or after its rollback.

use std::future::Future;

use futures_core::future::BoxFuture;

use super::Tx;
use crate::engine::Engine;
use crate::model::error::{BoxError, Cause, Error};
use crate::model::labels;
use crate::pool::hooks::{AfterRollback, CommittedHook, Hook};

/// A hook that still has a say: it runs inside of the transaction.
type BeforeCommit<DB> =
    Box<dyn for<'a> FnOnce(&'a mut Tx<DB>) -> BoxFuture<'a, Result<(), BoxError>> + Send>;

/// The hooks that run inside of the transaction, each with the depth of the scope that registered it.
pub(super) struct Checks<DB: Engine>(Vec<(u32, BeforeCommit<DB>)>);

impl<DB: Engine> Default for Checks<DB> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<DB: Engine> Checks<DB> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nested scope at `depth` succeeded: its hooks are now those of the scope around it.
    fn keep(&mut self, depth: u32) {
        for (at, _) in &mut self.0 {
            *at = (*at).min(depth - 1);
        }
    }

    /// The nested scope at `depth` was rolled back, and those inside it.
    fn undo(&mut self, depth: u32) {
        self.0.retain(|(at, _)| *at < depth);
    }

    /// The next hook of the scope at `depth`, or inside it.
    fn next(&mut self, depth: u32) -> Option<BeforeCommit<DB>> {
        let next = self.0.iter().position(|(at, _)| *at >= depth)?;
        Some(self.0.remove(next).1)
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
        self.checks.0.push((depth, Box::new(hook)));
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
    pub(crate) async fn run_before_commit(&mut self) -> Result<(), Error> {
        while let Some(hook) = self.checks.next(self.depth()) {
            if let Err(error) = hook(self).await {
                let which = labels::HookKind::BeforeCommit;
                self.db().meter().hook_failed(which);
                return Err(Error::before_commit(self.level.scope, error));
            }
        }
        Ok(())
    }

    /// The innermost scope is nested and has succeeded.
    pub(super) fn keep_hooks(&mut self) {
        let depth = self.depth();
        self.checks.keep(depth);
        self.session.hooks.keep(depth);
    }

    /// The innermost scope is nested, and what it has done is undone.
    pub(super) fn undo_hooks(&mut self, cause: &Cause) {
        let depth = self.depth();
        self.checks.undo(depth);
        self.session.hooks.undo(depth, cause);
    }
}
