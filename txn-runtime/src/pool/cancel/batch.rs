//! Batching cancels: all that are asked for while one request is in flight form the next request.
//!
//! A background task sends them, so that a request does not depend on the caller that asked for it
//! first. The task is spawned by a caller that finds none, and ends when nothing is queued.
//!
//! ```text
//!   cancel() ──► queue ──take──► one request ──► an answer for each cancel in it
//!                  │                    │
//!                  │ session closed     └── not reached by the statement: sent again
//!                  └──► removed unsent
//! ```

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::control_connection::{ControlConnection, Failure};
use crate::engine::{Engine, RoundTrip, Target};
use crate::pool::CleanupRuntime;
use crate::pool::current_options::CurrentOptions;

/// The result of a cancel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CancelResult {
    /// It was delivered to the server of the session. There may have been nothing to cancel.
    Delivered,
    /// The request reached another server than that of the session, and did nothing there.
    WrongServer,
    /// It is not known which server the session is on, so nothing was sent.
    UnknownServer,
    /// It may not have reached the server.
    #[default]
    Failed,
}

/// The answer to the caller that asked for a cancel.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The result of the last attempt.
    pub(super) result: CancelResult,
    /// It was also sent over a connection that did not answer, and may still arrive from there.
    pub(super) may_arrive_late: bool,
}

/// A cancel that a caller has asked for.
struct Request {
    /// The session whose operation is to be cancelled.
    target: Target,
    /// The way back to the session. It is closed if the session was closed meanwhile.
    answer: oneshot::Sender<Answer>,
}

impl Request {
    /// Answers the caller, which may have been dropped.
    fn answer(self, result: CancelResult, may_arrive_late: bool) {
        let _ = self.answer.send(Answer {
            result,
            may_arrive_late,
        });
    }
}

/// The control connection of one `Db`, with the queue of cancels that are to be sent over it.
///
/// Questions of the runtime ([`ask`](Self::ask)) use the same connection, directly and one at a
/// time. They and the batches take turns in the order in which they come.
pub(crate) struct Control<DB: Engine>(Arc<Shared<DB>>);

/// The state that callers and the task share. The lock of `queue` is never held across an await.
struct Shared<DB: Engine> {
    /// Held for one request and its answer.
    connection: AsyncMutex<ControlConnection<DB>>,
    /// Locked for moments only, by callers and by the task.
    queue: Mutex<Queue>,
    /// The measured round trip, which is shared with the sessions of the pool.
    round_trip: Arc<RoundTrip>,
    /// The runtime on which cancels are sent (invariant 8).
    cleanup_runtime: Arc<CleanupRuntime>,
}

/// The cancels that were not sent yet. Both fields change under one lock, so that no request is
/// queued without a task that will take it.
#[derive(Default)]
struct Queue {
    /// In the order in which they were asked for.
    waiting: Vec<Request>,
    /// A task exists that will look at `waiting` once more.
    has_sender: bool,
}

impl<DB: Engine> Control<DB> {
    /// Creates it without connecting.
    pub(crate) fn new(
        options: &Arc<CurrentOptions<DB>>,
        cleanup_runtime: &Arc<CleanupRuntime>,
        settle_timeout: Duration,
    ) -> Self {
        let round_trip = Arc::new(RoundTrip::new(settle_timeout));
        Self(Arc::new(Shared {
            connection: AsyncMutex::new(ControlConnection::new(
                Arc::clone(options),
                Arc::clone(&round_trip),
            )),
            queue: Mutex::default(),
            round_trip,
            cleanup_runtime: Arc::clone(cleanup_runtime),
        }))
    }

    /// Returns the measured round trip to the server.
    pub(crate) fn round_trip(&self) -> &Arc<RoundTrip> {
        &self.0.round_trip
    }

    /// Queues a cancel for what `target` does. The result is sent to the receiver. Dropping the
    /// receiver before the cancel was sent revokes it.
    pub(super) fn cancel(&self, target: Target) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let request = Request { target, answer };
        if !DB::tells_apart(&request.target) {
            request.answer(CancelResult::UnknownServer, false);
            return answered;
        }
        let mut queue = self.0.lock();
        queue.waiting.push(request);
        if !mem::replace(&mut queue.has_sender, true) {
            drop(queue);
            let sender = SenderTask(Some(Arc::clone(&self.0)));
            self.0.cleanup_runtime.spawn(sender.run());
        }
        answered
    }

    /// Runs a query on the control connection, and calls `read` for each row.
    pub(crate) async fn ask(
        &self,
        question: &str,
        mut read: impl FnMut(&DB::Row) + Send,
    ) -> Result<(), sqlx::Error> {
        let mut connection = self.0.connection.lock().await;
        let answered = connection
            .run(question, 1, |row| row.into_iter().for_each(&mut read))
            .await;
        answered.map(drop).map_err(|failure| failure.error)
    }

    /// Closes the control connection. A later request opens another.
    pub(crate) async fn close(&self) {
        self.0.connection.lock().await.close().await;
    }
}

impl<DB: Engine> Shared<DB> {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the queued cancels as one batch. If there are none, the task has to end.
    ///
    /// A cancel whose receiver is gone is not sent: its session was closed meanwhile, and is left
    /// to its server. (A caller that is dropped leaves the receiver with its session.)
    fn take(&self) -> Vec<Request> {
        let mut queue = self.lock();
        let mut batch = mem::take(&mut queue.waiting);
        batch.retain(|request| !request.answer.is_closed());
        queue.has_sender = !batch.is_empty();
        batch
    }

    /// Sends a batch, in as many requests as it takes, until each cancel in it has its answer.
    async fn send(&self, batch: Vec<Request>) {
        let mut connection = self.connection.lock().await;
        let mut rest = batch;
        while !rest.is_empty() {
            rest = send_some(&mut connection, rest).await;
        }
    }
}

/// Sends a batch as one request, and answers the cancels that were dealt with. Returns those that
/// the server has not reached, because the request failed at one before them.
async fn send_some<DB: Engine>(
    connection: &mut ControlConnection<DB>,
    batch: Vec<Request>,
) -> Vec<Request> {
    let targets: Vec<_> = batch.iter().map(|request| request.target.clone()).collect();
    // One entry for each cancel that the server has reached: its place in the batch, and whether
    // this was its server. A repeated attempt begins with `None`.
    let mut heard = Vec::new();
    let read = |row: Option<&DB::Row>| match row {
        Some(row) => heard.extend(DB::heard(row)),
        None => heard.clear(),
    };
    let parts = targets.len().try_into().unwrap_or(u32::MAX);
    let answered = connection.run(&DB::cancel(&targets), parts, read).await;
    let (may_arrive_late, is_complete) = match answered {
        Ok(may_arrive_late) => (may_arrive_late, true),
        // The session of the last cancel that was reached does not exist any more, which ends the
        // request there. The cancels after it are sent again.
        Err(Failure {
            error,
            may_arrive_late,
        }) if is_gone::<DB>(&error) && !heard.is_empty() => (may_arrive_late, false),
        Err(Failure {
            error,
            may_arrive_late,
        }) => {
            let sessions = batch.len();
            tracing::warn!(target: "txn", system = DB::SYSTEM, sessions, %error, "cancel failed");
            for request in batch {
                request.answer(CancelResult::Failed, may_arrive_late);
            }
            return Vec::new();
        }
    };
    // The servers that some of these cancels were for, and that were not the one reached.
    let missed_servers: Vec<_> = (0..)
        .zip(&targets)
        .filter(|(at, _)| heard.contains(&(*at, false)))
        .map(|(_, target)| target.server.clone())
        .collect();
    if !missed_servers.is_empty() {
        connection.disconnect(); // the next connection may reach another server
    }
    let mut rest = Vec::new();
    for (at, request) in (0..).zip(batch) {
        if heard.contains(&(at, true)) {
            request.answer(CancelResult::Delivered, may_arrive_late);
        } else if missed_servers.contains(&request.target.server) {
            request.answer(CancelResult::WrongServer, may_arrive_late);
        } else if is_complete {
            request.answer(CancelResult::Failed, may_arrive_late);
        } else {
            rest.push(request);
        }
    }
    rest
}

/// Returns true if a cancel failed because its session does not exist any more.
fn is_gone<DB: Engine>(error: &sqlx::Error) -> bool {
    (error.as_database_error()).is_some_and(|error| DB::is_gone(error))
}

/// The background task that sends cancels until none are queued.
///
/// # Cancel safety
///
/// If it is dropped with its runtime, the receivers of all cancels see their sender dropped, which
/// counts as [`CancelResult::Failed`], and the next cancel spawns another task.
struct SenderTask<DB: Engine>(Option<Arc<Shared<DB>>>);

impl<DB: Engine> SenderTask<DB> {
    /// Sends batches until `take` finds the queue empty.
    async fn run(mut self) {
        while let Some(shared) = &self.0 {
            let batch = shared.take();
            if batch.is_empty() {
                // `take` has cleared `has_sender`, and another task may have set it since: the drop
                // must not clear it again.
                self.0 = None;
                return;
            }
            shared.send(batch).await;
        }
    }
}

impl<DB: Engine> Drop for SenderTask<DB> {
    fn drop(&mut self) {
        // Only after a drop in the middle: a task that came to its end has taken `shared` out.
        if let Some(shared) = &self.0 {
            let mut queue = shared.lock();
            queue.has_sender = false;
            queue.waiting.clear();
        }
    }
}
