//! Closing a pool.

use tokio::time::timeout;

use super::Db;
use crate::engine::Engine;

impl<DB: Engine> Db<DB> {
    /// Closes the handle and all its clones. New scopes and those that wait for a session are
    /// refused, and connection attempts are given up. Open scopes may end; `close` waits for them,
    /// for their hooks and for every cleanup, and closes every session. When it returns, nothing
    /// can begin on this handle any more.
    ///
    /// A hook must not call it: it would wait for itself.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the handle stays closed, and each session is closed when its scope ends.
    /// It may be called again.
    pub async fn close(&self) {
        if let Some(sandbox) = &self.sandbox {
            return sandbox.close().await;
        }
        let shared = &*self.shared;
        // From here on nothing is opened. The pool is closed before it is waited for, so that a
        // session which comes back meanwhile is closed by its own drop.
        shared.pool.manager().closing.cancel();
        let idle = shared.pool.retain(|_, _| false).removed;
        shared.pool.close();
        for queue in [&shared.writers, &shared.unreserved].into_iter().flatten() {
            queue.close();
        }
        for pooled in idle.into_iter().flatten() {
            // A connection that takes too long is dropped. Boxed: see the head of scope.rs.
            let goodbye = Box::pin(pooled.close());
            timeout(shared.limits.settle_timeout, goodbye).await.ok();
        }
        // A session that ends may start hooks and cleanups, so these are waited for after it.
        shared.leases.wait().await;
        shared.hooks.wait().await;
        shared.cleanups.wait().await;
        shared.watch.stop().await;
        let goodbye = shared.control.close();
        timeout(shared.limits.settle_timeout, goodbye).await.ok();
    }
}
