//! Requests to the server over the control connection: a question, or the end of an
//! operation in another session.

use super::Db;
use crate::engine::{Engine, dropped_in_flight};
use crate::model::labels::CloseReason;
use crate::model::transaction::Wire;
use crate::pool::cancel::{self, Cancel, Cancellable};

impl<DB: Engine> Db<DB> {
    /// Returns true if the server is to be asked about a COMMIT whose answer was lost.
    pub(crate) fn verifies_commits(&self) -> bool {
        self.shared.limits.verify_commits
    }

    /// Runs a query on the control connection, and calls `read` for each row.
    pub(crate) async fn ask(
        &self,
        question: &str,
        read: impl FnMut(&DB::Row) + Send,
    ) -> Result<(), sqlx::Error> {
        self.shared.control.ask(question, read).await
    }

    /// Closes the control connection. The next question opens a new one, and so may reach another
    /// server behind the same address.
    pub(crate) async fn reconnect_control(&self) {
        self.shared.control.close().await;
    }

    /// Waits for the `answer` to an operation that was dropped in flight. If `cancels`, the
    /// operation is cancelled on the server meanwhile.
    ///
    /// If no cancel may be sent ([`Cancel::Close`]), an operation that is still running is
    /// given up, and the rest of a row stream is read, which may be quick.
    pub(crate) async fn cancelling<T>(
        &self,
        backend: &mut Cancellable,
        left: Wire,
        cancels: bool,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let shared = &*self.shared;
        // A row stream that was read in part needs no cancel for its answer to end, only for that
        // to be soon. An operation that is still running may never end by itself.
        match (cancels, left, shared.limits.cancel) {
            (true, Wire::Busy, Cancel::Close) => Err(dropped_in_flight()),
            (true, Wire::Busy, Cancel::Server) if DB::DROPS_BREAK => {
                cancel::kill(&shared.control, backend).await;
                answer.await
            }
            (true, Wire::Busy | Wire::Partial, Cancel::Server) => {
                cancel::until_answered(&shared.control, backend, left, answer).await
            }
            _ => answer.await,
        }
    }

    /// Closes the idle sessions that were not in use until a moment ago, because one of them did
    /// not answer. The others are probably dead too, and each would cost its own timeout.
    pub(crate) fn close_stale_idle(&self, why: CloseReason) {
        let stale = self.sessions().retain(|pooled| pooled.is_fresh());
        for (slot, pooled) in stale {
            pooled.discard(why);
            drop(slot);
        }
    }

    /// Ends a session on the server, unless cancels must not be sent.
    pub(crate) async fn kill(&self, backend: &mut Cancellable) {
        if self.shared.limits.cancel == Cancel::Server {
            cancel::kill(&self.shared.control, backend).await;
        }
    }
}
