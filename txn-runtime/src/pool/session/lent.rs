//! A session in the hands of a sandbox.

use tokio::sync::OwnedSemaphorePermit;

use super::{Pooled, Session};
use crate::engine::Engine;
use crate::pool::hooks::{Due, Fate};
use crate::pool::{Bounds, Db};

impl<DB: Engine> Session<DB> {
    /// Moves everything into a new session that belongs to another handle.
    pub(super) fn moved(&mut self, pooled: Box<Pooled<DB>>, db: Db<DB>) -> Self {
        Self {
            pooled: Some(pooled),
            bounds: Bounds::of(&db),
            slot: std::mem::take(&mut self.slot),
            hooks: std::mem::take(&mut self.hooks),
            trace: self.trace.take(),
            db,
            lease: self.lease.clone(),
            state: std::mem::take(&mut self.state),
            left: self.left,
        }
    }

    /// What a transaction on it begins and ends with.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Lends the session to one scope of the sandbox that `db` is the handle of. The scope begins
    /// and ends with a savepoint, and does not see the sandbox's own transaction.
    pub(crate) fn lend(mut self, db: Db<DB>, turn: OwnedSemaphorePermit) -> Option<Self> {
        let pooled = self.pooled.take()?;
        let mut session = self.moved(pooled, db);
        session.slot.permits.get_or_insert_default().sandbox = Some(turn);
        session.state.is_lent();
        Some(session)
    }

    /// Takes the session back into the sandbox's transaction. Returns the permit that the next
    /// scope waits for.
    pub(crate) fn unlend(&mut self) -> Option<OwnedSemaphorePermit> {
        self.activity().close();
        self.db = self.db.outside_of_sandbox();
        self.bounds = Bounds::of(&self.db);
        self.state.is_back();
        self.slot.permits.as_mut()?.sandbox.take()
    }

    /// Takes the hooks that run now that the transaction has ended like this.
    pub(crate) fn due(&mut self, fate: &Fate) -> Due {
        let hooks = std::mem::take(&mut self.hooks);
        let hooks = match self.db.sandbox_session() {
            Some(lent) => lent.due(hooks, fate),
            None => hooks.after(fate),
        };
        if hooks.is_empty() {
            return Due::default();
        }
        let ending = |scope| {
            let statements = self.activity().statements();
            self.db.scopes_here().ending(scope, statements)
        };
        Due {
            ending: self.activity().holding().map(ending),
            token: Some(self.db.hooks_run()),
            hooks,
        }
    }
}
