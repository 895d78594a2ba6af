//! Cancels on their way to the server: all that are asked for while one request is under way are
//! the next one.
//!
//! They are sent by a task of their own, that lives as long as there are any: what is under way
//! does not depend on whoever asked for it first.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::control_connection::{ControlConnection, Failure};
use crate::engine::{ConnectOptionsOf, Engine, RoundTrip, Target};
use crate::pool::CleanupRuntime;

/// What has come of a cancel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CancelResult {
    /// The server of the session has heard it. There may have been nothing to cancel.
    Heard,
    /// It is another server that answers, and that was told nothing.
    Elsewhere,
    /// Nothing says which server the session is on: nobody was told.
    Nameless,
    /// It may not have reached the server.
    #[default]
    Failed,
}

#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) told: CancelResult,
    /// It was sent over a connection that did not answer too, and may arrive yet.
    pub(super) late: bool,
}

struct Request {
    target: Target,
    answer: oneshot::Sender<Answer>,
}

impl Request {
    /// Whoever asked may be gone.
    fn answer(self, told: CancelResult, late: bool) {
        let _ = self.answer.send(Answer { told, late });
    }
}

/// The way to the server outside of the pool.
pub(crate) struct Control<DB: Engine>(Arc<Shared<DB>>);

struct Shared<DB: Engine> {
    line: AsyncMutex<ControlConnection<DB>>,
    queue: Mutex<Queue>,
    round_trip: Arc<RoundTrip>,
    /// Invariant 8: cancels are sent from here.
    cleanup_runtime: Arc<CleanupRuntime>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Request>,
    /// A task is there that will take what waits.
    served: bool,
}

impl<DB: Engine> Control<DB> {
    pub(crate) fn new(
        options: ConnectOptionsOf<DB>,
        cleanup_runtime: &Arc<CleanupRuntime>,
    ) -> Self {
        let round_trip = Arc::new(RoundTrip::default());
        Self(Arc::new(Shared {
            line: AsyncMutex::new(ControlConnection::new(options, Arc::clone(&round_trip))),
            queue: Mutex::default(),
            round_trip,
            cleanup_runtime: Arc::clone(cleanup_runtime),
        }))
    }

    pub(crate) fn round_trip(&self) -> &Arc<RoundTrip> {
        &self.0.round_trip
    }

    /// Has the server end what this session does; what comes of that is received.
    pub(super) fn cancel(&self, target: Target) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let request = Request { target, answer };
        if !DB::tells_apart(&request.target) {
            request.answer(CancelResult::Nameless, false);
            return answered;
        }
        let mut queue = self.0.lock();
        queue.waiting.push(request);
        if !mem::replace(&mut queue.served, true) {
            drop(queue);
            let service = Service(Some(Arc::clone(&self.0)));
            self.0.cleanup_runtime.spawn(service.serve());
        }
        answered
    }

    /// Asks the server something; the rows of the answer are given to `read`.
    pub(crate) async fn ask(
        &self,
        question: &str,
        mut read: impl FnMut(&DB::Row) + Send,
    ) -> Result<(), sqlx::Error> {
        let mut line = self.0.line.lock().await;
        let answered = line
            .run(question, 1, |row| row.into_iter().for_each(&mut read))
            .await;
        answered.map(drop).map_err(|failure| failure.error)
    }

    pub(crate) async fn close(&self) {
        self.0.line.lock().await.close().await;
    }
}

impl<DB: Engine> Shared<DB> {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits. A session that was closed meanwhile is left to its server: whoever is dropped
    /// leaves the answer that he waits for with the session.
    fn take(&self) -> Vec<Request> {
        let mut queue = self.lock();
        let mut batch = mem::take(&mut queue.waiting);
        batch.retain(|request| !request.answer.is_closed());
        queue.served = !batch.is_empty();
        batch
    }

    async fn send(&self, batch: Vec<Request>) {
        let mut line = self.line.lock().await;
        let mut rest = batch;
        while !rest.is_empty() {
            rest = send_some(&mut line, rest).await;
        }
    }
}

/// Returns those that the server has not come to.
async fn send_some<DB: Engine>(
    line: &mut ControlConnection<DB>,
    batch: Vec<Request>,
) -> Vec<Request> {
    let targets: Vec<_> = batch.iter().map(|request| request.target.clone()).collect();
    let mut heard = Vec::new();
    let read = |row: Option<&DB::Row>| match row {
        Some(row) => heard.extend(DB::heard(row)),
        None => heard.clear(),
    };
    let parts = targets.len().try_into().unwrap_or(u32::MAX);
    let (late, is_all) = match line.run(&DB::cancel(&targets), parts, read).await {
        Ok(late) => (late, true),
        // Of the last that it came to: there is no such session any more.
        Err(Failure { error, late }) if is_gone::<DB>(&error) && !heard.is_empty() => (late, false),
        Err(Failure { error, late }) => {
            let sessions = batch.len();
            tracing::warn!(target: "txn", system = DB::SYSTEM, sessions, %error, "cancel failed");
            for request in batch {
                request.answer(CancelResult::Failed, late);
            }
            return Vec::new();
        }
    };
    let strangers: Vec<_> = (0..)
        .zip(&targets)
        .filter(|(at, _)| heard.contains(&(*at, false)))
        .map(|(_, target)| target.server.clone())
        .collect();
    if !strangers.is_empty() {
        line.hang_up(); // the next may reach another
    }
    let mut rest = Vec::new();
    for (at, request) in (0..).zip(batch) {
        if heard.contains(&(at, true)) {
            request.answer(CancelResult::Heard, late);
        } else if strangers.contains(&request.target.server) {
            request.answer(CancelResult::Elsewhere, late);
        } else if is_all {
            request.answer(CancelResult::Failed, late);
        } else {
            rest.push(request);
        }
    }
    rest
}

fn is_gone<DB: Engine>(error: &sqlx::Error) -> bool {
    (error.as_database_error()).is_some_and(|error| DB::is_gone(error))
}

/// Sends until nothing waits.
///
/// # Cancel safety
///
/// Dropped with its runtime, those who wait are told that it has failed.
struct Service<DB: Engine>(Option<Arc<Shared<DB>>>);

impl<DB: Engine> Service<DB> {
    async fn serve(mut self) {
        while let Some(shared) = &self.0 {
            let batch = shared.take();
            if batch.is_empty() {
                self.0 = None; // the next request has a task of its own
                return;
            }
            shared.send(batch).await;
        }
    }
}

impl<DB: Engine> Drop for Service<DB> {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            let mut queue = shared.lock();
            queue.served = false;
            queue.waiting.clear();
        }
    }
}
