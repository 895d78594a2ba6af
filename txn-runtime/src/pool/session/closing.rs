//! The ways in which a session is closed instead of given back.

use sqlx::Connection;

use super::{Pooled, Session};
use crate::engine::Engine;
use crate::model::labels::CloseReason;
use crate::model::transaction::Wire;

impl<DB: Engine> Session<DB> {
    /// Closes the connection instead of giving it back; its slot becomes free.
    pub(crate) fn discard(self) {
        let why = match self.state.wire() {
            _ if self.is_lost_by_a_drop() => CloseReason::DroppedOperation,
            Wire::Broken(_) => CloseReason::Broken,
            _ => CloseReason::Unsettled,
        };
        self.discard_because(why);
    }

    pub(crate) fn discard_because(mut self, why: CloseReason) {
        if let Some(pooled) = &mut self.pooled {
            pooled.tracker.closes(why);
        }
        self.take();
    }

    /// Why it is about to be closed.
    pub(crate) fn closes(&mut self, why: CloseReason) {
        if let Some(pooled) = &mut self.pooled {
            pooled.tracker.closes(why);
        }
    }

    /// Says goodbye to the server.
    pub(crate) async fn close(mut self) -> Result<(), sqlx::Error> {
        match self.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    /// Takes the connection out of the pool for good.
    fn take(&mut self) -> Option<DB::Connection> {
        Some(self.pooled.take()?.connection)
    }

    /// Its connection broke inside of a transaction, and the server may go on with the query that was running, and its locks, for
    /// as long as that takes.
    pub(super) fn lingers(&self) -> bool {
        let lingers = |pooled: &Pooled<DB>| pooled.backend.lingers;
        self.state.is_broken()
            && self.state.is_inside()
            && self.pooled.as_deref().is_some_and(lingers)
    }

    /// Ends on the server what lingers there.
    pub(crate) async fn kill_if_it_lingers(&mut self) {
        if let (true, Some(pooled)) = (self.lingers(), &mut self.pooled) {
            self.db.kill(&mut pooled.backend).await;
        }
        self.state.ended();
    }
}
