//! What the list of open scopes asks of a `Db`.

use std::sync::{Arc, Weak};

use super::{Db, Shared};
use crate::engine::Engine;
use crate::observe::scopes::Scopes;
use crate::pool::cancel::Cancel;
use crate::pool::long_scopes::LongScopeWatch;

/// A handle that keeps nothing open.
pub(crate) struct WeakDb<DB: Engine>(Weak<Shared<DB>>);

impl<DB: Engine> WeakDb<DB> {
    pub(crate) fn upgrade(&self) -> Option<Db<DB>> {
        let shared = self.0.upgrade()?;
        Some(Db {
            shared,
            sandbox: None,
        })
    }
}

impl<DB: Engine> Db<DB> {
    pub(crate) fn downgrade(&self) -> WeakDb<DB> {
        WeakDb(Arc::downgrade(&self.shared))
    }

    pub(crate) fn scopes_here(&self) -> &Arc<Scopes> {
        &self.shared.pool.manager().scopes
    }

    pub(crate) fn watch(&self) -> &LongScopeWatch {
        &self.shared.watch
    }

    pub(crate) fn cancel(&self) -> Cancel {
        self.shared.limits.cancel
    }
}
