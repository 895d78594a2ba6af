//! Weak handles, for background tasks that must not keep a `Db` open.

use std::sync::{Arc, Weak};

use super::{Db, Shared};
use crate::engine::Engine;
use crate::observe::scopes::Scopes;
use crate::pool::cancel::Cancel;
use crate::pool::long_scopes::LongScopeWatch;

/// A weak handle. Background tasks upgrade it for each round of their work, so that the pool ends
/// with the last handle of the user's.
pub(crate) struct WeakDb<DB: Engine>(Weak<Shared<DB>>);

impl<DB: Engine> WeakDb<DB> {
    /// Returns a handle, or `None` if every handle was dropped. It is never that of a sandbox.
    pub(crate) fn upgrade(&self) -> Option<Db<DB>> {
        let shared = self.0.upgrade()?;
        Some(Db {
            shared,
            sandbox: None,
        })
    }
}

impl<DB: Engine> Db<DB> {
    /// Returns a weak handle to the same pool.
    pub(crate) fn downgrade(&self) -> WeakDb<DB> {
        WeakDb(Arc::downgrade(&self.shared))
    }

    /// Returns the list of open scopes of this pool.
    pub(crate) fn scopes_here(&self) -> &Arc<Scopes> {
        &self.shared.pool.manager().scopes
    }

    /// Returns what watches over scopes that are open for too long.
    pub(crate) fn watch(&self) -> &LongScopeWatch {
        &self.shared.watch
    }

    /// Returns what is done with an operation that was dropped in flight.
    pub(crate) fn cancel(&self) -> Cancel {
        self.shared.limits.cancel
    }
}
