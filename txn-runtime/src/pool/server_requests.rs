//! Reaching a session, or its server, from outside: over the control connection.

use super::Db;
use crate::engine::{Engine, dropped_in_flight};
use crate::model::labels::CloseReason;
use crate::model::transaction::Wire;
use crate::pool::cancel::{self, Cancel, Cancellable};
use crate::pool::session::Pooled;

impl<DB: Engine> Db<DB> {
    pub(crate) fn verifies_commits(&self) -> bool {
        self.shared.limits.verify_commits
    }

    /// Asks the server something over the control connection.
    pub(crate) async fn ask(
        &self,
        question: &str,
        read: impl FnMut(&DB::Row) + Send,
    ) -> Result<(), sqlx::Error> {
        self.shared.control.ask(question, read).await
    }

    /// The next question is to reach another server, if there is one.
    pub(crate) async fn ask_anew(&self) {
        self.shared.control.close().await;
    }

    /// Waits for the answer of a session that was left in the middle of an operation, and ends that operation on the server if
    /// it `ends`.
    ///
    /// Where nobody may be told to end it, rows that are left are still read, which may be quick.
    pub(crate) async fn cancelling<T>(
        &self,
        backend: &mut Cancellable,
        left: Wire,
        ends: bool,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let shared = &*self.shared;
        match (ends, left, shared.limits.cancel) {
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

    /// Closes the sessions that have lain idle for as long as one that did not answer: they would be no better, and each would
    /// have to be waited for.
    pub(crate) fn forget_idle(&self, why: CloseReason) {
        let fresh = |pooled: &Pooled<DB>| pooled.is_fresh();
        let pool = &self.shared.pool;
        let stale = pool.retain(|place, _| place.as_deref().is_none_or(fresh));
        for pooled in stale.removed.into_iter().flatten() {
            pooled.discard(why);
        }
    }

    /// Ends a session on the server, unless it is to be left to that.
    pub(crate) async fn kill(&self, backend: &mut Cancellable) {
        if self.shared.limits.cancel == Cancel::Server {
            cancel::kill(&self.shared.control, backend).await;
        }
    }
}
