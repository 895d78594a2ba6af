//! The ways in which a session is closed instead of going back to the pool.
//!
//! All of them take the session, so nobody can use it afterwards. Its slot, its permits and its
//! lease are released by the drop that follows, and the hooks that it still has are dropped unrun.

use sqlx::Connection;

use super::{Pooled, Session};
use crate::engine::Engine;
use crate::model::labels::CloseReason;
use crate::model::transaction::Wire;

impl<DB: Engine> Session<DB> {
    /// Closes the connection without a word to the server, and frees the slot. The reason for the
    /// metrics is derived from the state of the connection.
    pub(crate) fn discard(self) {
        let why = match self.state.wire() {
            _ if self.is_lost_by_a_drop() => CloseReason::DroppedOperation,
            Wire::Broken(_) => CloseReason::Broken,
            _ => CloseReason::Unsettled,
        };
        self.discard_because(why);
    }

    /// Closes the connection without a word to the server, for this reason.
    pub(crate) fn discard_because(mut self, why: CloseReason) {
        self.closes(why);
        self.take();
    }

    /// Notes the reason for which the session is about to be closed. A later one replaces it.
    pub(crate) fn closes(&mut self, why: CloseReason) {
        if let Some(pooled) = &mut self.pooled {
            pooled.tracker.closes(why);
        }
    }

    /// Closes the connection with a goodbye to the server.
    pub(crate) async fn close(mut self) -> Result<(), sqlx::Error> {
        match self.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    /// Takes the connection out of the session. The drop of the session then only frees the slot.
    fn take(&mut self) -> Option<DB::Connection> {
        Some(self.pooled.take()?.connection)
    }

    /// Returns true if the connection broke inside of a transaction on a server that does not
    /// notice this soon: it may go on with the query that was running, and keep its locks, until
    /// the end of that query.
    pub(super) fn lingers(&self) -> bool {
        let lingers = |pooled: &Pooled<DB>| pooled.backend.lingers;
        self.state.is_broken()
            && self.state.is_inside()
            && self.pooled.as_deref().is_some_and(lingers)
    }

    /// Ends the session on the server if it [`lingers`](Self::lingers) there.
    pub(crate) async fn kill_if_it_lingers(&mut self) {
        if let (true, Some(pooled)) = (self.lingers(), &mut self.pooled) {
            self.db.kill(&mut pooled.backend).await;
        }
        self.state.ended();
    }
}
