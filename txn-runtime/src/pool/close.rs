//! Closing a handle.

use tokio::time::timeout;

use super::Db;
use crate::engine::Engine;

impl<DB: Engine> Db<DB> {
    /// Closes the handle and all its clones: refuses new scopes and those that wait for a session, lets open ones end,
    /// waits for them, for their hooks and for every cleanup, and closes every session. A session that is being opened is given up. When it
    /// returns, nothing begins any more. A hook must not wait for it: it would wait for itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the handle stays closed; sessions still go when their scopes end. It may be called again.
    pub async fn close(&self) {
        if let Some(lent) = &self.sandbox {
            return lent.close().await;
        }
        let shared = &*self.shared;
        shared.pool.manager().closing.cancel();
        let idle = shared.pool.retain(|_, _| false).removed;
        shared.pool.close();
        for queue in [&shared.writers, &shared.firsts].into_iter().flatten() {
            queue.close();
        }
        for pooled in idle.into_iter().flatten() {
            // What does not hear us out is dropped. Boxed, or whoever closes has room for a connection.
            let goodbye = Box::pin(pooled.close());
            timeout(shared.limits.settle_timeout, goodbye).await.ok();
        }
        shared.leases.wait().await;
        shared.hooks.wait().await;
        shared.cleanups.wait().await;
        shared.watch.stop().await;
        let goodbye = shared.control.close();
        timeout(shared.limits.settle_timeout, goodbye).await.ok();
    }
}
