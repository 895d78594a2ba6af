//! Sessions are opened by tasks of their own, so that a caller which gives up wastes no attempt:
//! the session is for whoever is first when it is open, and otherwise idle.
//!
//! The task runs on the runtime of the caller that was told to begin it, and the connection lives
//! there.
//!
//! ```text
//!   admitted ──► opened ─────► handed to the first waiter, or idle
//!       ├──────► failed ─────► who has begun it gets the error, or the panic of a callback
//!       └──────► dropped ────► another waiter is told to begin
//!   refused by the breaker ──► who was told to begin gets the error at once
//! ```

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;

use super::Db;
use super::sessions::Sessions;
use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::labels::CloseReason;
use crate::model::request::Ticket;
use crate::pool::gate::Attempt;

/// Why no session was opened.
pub(crate) enum NotOpened {
    Failed(Error),
    /// A callback of the user's has panicked.
    Panicked(Box<dyn Any + Send>),
}

impl NotOpened {
    /// Returns the error to the caller, or goes on with the panic there.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Failed(error) => error,
            Self::Panicked(panic) => resume_unwind(panic),
        }
    }
}

/// A session that is being opened. Its drop has somebody else do it, unless it is over.
struct Opening<DB: Engine> {
    sessions: Arc<Sessions<DB>>,
    /// How long a goodbye may take, if the pool was closed meanwhile.
    settle_timeout: Duration,
    /// `close` waits for it.
    _lease: TaskTrackerToken,
    /// Who gets the error if it fails.
    waiter: Option<Ticket>,
    is_over: bool,
}

impl<DB: Engine> Db<DB> {
    /// Begins to open a session, on the current runtime, for a waiter that was told to. Returns
    /// true if it has begun: the breaker may not admit it, and then the waiter gets the error.
    pub(super) fn open_in_background(&self, waiter: Option<Ticket>) -> bool {
        let attempt = match self.connector().breaker.admit() {
            Ok(attempt) => attempt,
            Err(outage) => {
                let error = Error::unavailable(outage);
                self.events().tell_not_opened(&error);
                let error = NotOpened::Failed(error);
                self.sessions().open_failed(waiter, error);
                return false;
            }
        };
        // The connection lives on this runtime, whoever gets the session.
        self.ensure_reaper();
        let opening = Opening {
            sessions: Arc::clone(self.sessions()),
            settle_timeout: self.settle_timeout(),
            _lease: self.shared.leases.token(),
            waiter,
            is_over: false,
        };
        tokio::spawn(opening.run(attempt).in_current_span());
        true
    }
}

impl<DB: Engine> Opening<DB> {
    async fn run(mut self, attempt: Attempt) {
        let open = AssertUnwindSafe(self.sessions.connector.open(attempt));
        let opened = open.catch_unwind().await;
        self.is_over = true;
        let error = match opened {
            Ok(Ok(session)) => {
                if let Some(session) = self.sessions.opened(session) {
                    session
                        .retire(CloseReason::WithPool, self.settle_timeout)
                        .await;
                }
                return;
            }
            Ok(Err(error)) => {
                // The waiter may have left, or have been served meanwhile.
                tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "no session opened");
                NotOpened::Failed(error)
            }
            Err(panic) => NotOpened::Panicked(panic),
        };
        self.sessions.open_failed(self.waiter, error);
    }
}

impl<DB: Engine> Drop for Opening<DB> {
    fn drop(&mut self) {
        if !self.is_over {
            self.sessions.open_given_up();
        }
    }
}
