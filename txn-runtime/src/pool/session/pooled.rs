//! A session at rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::runtime::Id;
use tokio::time::timeout;

use super::TRUSTED;
use super::upkeep::Epoch;
use crate::engine::{AsOpened, ConnectOptionsOf, Engine, clock};
use crate::model::labels::CloseReason;
use crate::model::reset::SessionMeta;
use crate::observe::scopes::Registered;
use crate::observe::tracker::SessionTracker;
use crate::pool::callbacks::Callbacks;
use crate::pool::cancel::Cancellable;

/// A session at rest, and what stays with its connection from one user to the next.
///
/// The pool owns it while it is idle, a [`Session`](super::Session) while it is checked out. It is
/// moved between the two as a box and is never shared, so it needs no lock. Invariant 1 holds
/// whenever the pool owns it.
pub(crate) struct Pooled<DB: Engine> {
    /// The driver's connection.
    pub(crate) connection: DB::Connection,
    /// How its server is told to cancel what it does.
    pub(crate) backend: Cancellable,
    /// Its entry in the list of open scopes.
    pub(crate) activity: Registered,
    /// When it was opened, for `max_lifetime`.
    pub(crate) opened: Instant,
    /// When it last went back to the pool, or was opened.
    pub(crate) returned: Instant,
    /// It has been idle in the pool before, so that the server may have closed it meanwhile.
    pub(crate) reused: bool,
    /// The epoch in which it was last known to be up to date.
    pub(crate) epoch: Epoch,
    /// The runtime that it was opened on.
    pub(crate) runtime: Option<Id>,
    /// It went back to the pool without the reset that is due. Its next user resets it first.
    pub(crate) to_be_reset: bool,
    /// The options that it was opened with.
    pub(crate) options: Arc<ConnectOptionsOf<DB>>,
    /// The state that a reset restores.
    pub(crate) as_opened: Arc<AsOpened>,
    /// Its part in the metrics.
    pub(crate) tracker: SessionTracker,
}

impl<DB: Engine> Pooled<DB> {
    /// Closes an idle session that was taken out of the pool, with a goodbye to the server. If that
    /// takes longer than `limit`, the connection is dropped.
    pub(crate) async fn retire(mut self, why: CloseReason, limit: Duration) {
        self.tracker.closes(why);
        timeout(limit, clock::real(self.connection.close()))
            .await
            .ok();
    }

    /// Returns true if it was in use until a moment ago, so that its server is probably there.
    pub(crate) fn is_fresh(&self) -> bool {
        self.returned.elapsed() < TRUSTED
    }

    /// Closes the connection without a word to the server.
    pub(crate) fn discard(mut self, why: CloseReason) {
        self.tracker.closes(why);
    }

    /// Asks the user's `before_acquire` whether an idle session may be used. If this is dropped in
    /// flight, the session has to be closed.
    pub(crate) async fn may_be_taken(&mut self, callbacks: &Callbacks<DB>) -> bool {
        let meta = SessionMeta::idle(self.opened, self.returned);
        self.backend.limits = None; // the callback may set timeouts
        let answer = callbacks.run_before_acquire(&mut self.connection, meta);
        match answer.await {
            Ok(may) => may,
            Err(error) => {
                let backend = self.backend.target.id;
                tracing::warn!(
                    target: "txn", system = DB::SYSTEM, backend, %error,
                    "session closed instead of taken"
                );
                false
            }
        }
    }
}
