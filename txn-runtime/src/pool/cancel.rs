//! Cancelling a dropped operation on the server, so that its locks do not outlive it.
//!
//! PostgreSQL and MySQL/MariaDB are sent a cancel over the *control connection*: one per `Db`,
//! outside of the pool, opened on first need and kept. SQLite is interrupted within this process.
//!
//! A cancel names the server that it is for, because the id of a session means a different session
//! on another server, and on the same server after a restart. The statement that cancels compares
//! that name on the server where it runs, and does nothing if it has reached the wrong one.
//!
//! The danger is a cancel that arrives late, when the session already runs its next statement. So
//! the life of a cancel is:
//!
//! ```text
//!   none ──ask──► in flight ──take_result──► none           the server has answered
//!                     │                        └──► at large  it may take effect again, any time
//!                     │
//!                     └── the waiting future is dropped: still in flight, for the next drain
//! ```
//!
//! A session is used again only in the state `none`. One whose cancel is at large is closed.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

mod batch;
mod control_connection;

pub(crate) use self::batch::Control;
use self::batch::{Answer, CancelResult};
use crate::engine::{self, Backend, Engine, cancel_at_large, clock, left_to_its_server};
use crate::model::transaction::Wire;

/// The treatment of an operation that was dropped in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancel {
    /// The operation is cancelled on the server. The session is kept, if the driver survives that.
    #[default]
    Server,
    /// The session is closed, and the server is left to notice by itself. Behind a pooler that
    /// hides which backend serves whom, a cancel could hit somebody else's query.
    Close,
}

/// A session's backend, and what is known of the cancels that were sent to it. It belongs to one
/// session and is never shared.
#[derive(Debug)]
pub(crate) struct Cancellable {
    /// How the server knows the session, and how it is interrupted.
    backend: Backend,
    /// The result of a cancel that is in flight. It stays here if the future that waits for it is
    /// dropped, because that cancel could hit whatever is sent next.
    in_flight: Option<oneshot::Receiver<Answer>>,
    /// A cancel was sent, and it is not known, and never will be, whether it has arrived.
    cancel_at_large: bool,
}

impl From<Backend> for Cancellable {
    fn from(backend: Backend) -> Self {
        Self {
            backend,
            in_flight: None,
            cancel_at_large: false,
        }
    }
}

impl Deref for Cancellable {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.backend
    }
}

impl DerefMut for Cancellable {
    fn deref_mut(&mut self) -> &mut Backend {
        &mut self.backend
    }
}

/// How long an answer is waited for before a cancel is sent. Most answers are on their way already
/// when an operation is dropped.
const GRACE: Duration = Duration::from_millis(1);
/// How many times the control connection may reach the wrong server before the operation is left to
/// itself. Several servers may be behind one address, and a new connection may reach another.
const MAX_WRONG_SERVERS: u32 = 6;

impl Cancellable {
    /// Waits for the result of the cancel that is in flight, if there is one.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the cancel still counts as in flight.
    async fn take_result(&mut self) -> Option<CancelResult> {
        let answer = self.in_flight.as_mut()?.await;
        self.in_flight = None;
        // The sender is dropped only by a runtime that shuts down. That counts as a failure.
        let answer = answer.unwrap_or_default();
        self.cancel_at_large |= answer.may_arrive_late;
        Some(answer.result)
    }

    /// Sends a cancel, unless one is in flight. `left` is the state in which the operation left the
    /// wire.
    fn ask<DB: Engine>(&mut self, control: &Control<DB>, left: Wire) {
        if let Some(interrupt) = &self.interrupt {
            // SQLite only polls this flag, and nothing else is read because of it.
            interrupt.store(true, Ordering::Relaxed);
        } else if self.in_flight.is_none() {
            let is_kept = left == Wire::Partial;
            let target = self.target.clone();
            self.in_flight = Some(control.cancel(engine::Target { is_kept, ..target }));
        }
    }

    /// Logs that the operation was not cancelled, and returns the error for that.
    fn left_to_its_server<DB: Engine>(&self) -> sqlx::Error {
        let backend = self.target.id;
        tracing::warn!(
            target: "txn", system = DB::SYSTEM, backend,
            "left to its server, a cancel could hit somebody else"
        );
        left_to_its_server()
    }
}

/// How many times the control connection has reached the wrong server.
#[derive(Default)]
struct WrongServers(u32);

impl WrongServers {
    /// Counts a result. Returns true if the right server cannot be reached.
    fn is_hopeless(&mut self, result: CancelResult) -> bool {
        self.0 += u32::from(result == CancelResult::WrongServer);
        self.0 == MAX_WRONG_SERVERS || result == CancelResult::UnknownServer
    }
}

/// Waits for the `answer` to a dropped operation, and cancels that operation, again and again with
/// growing pauses, until the answer comes.
///
/// When it returns `Ok`, no cancel is in flight: one could hit the next statement. If that cannot
/// be established, it returns an error, and the session has to be closed.
///
/// # Cancel safety
///
/// If it is dropped, the next call for this session first waits for the cancel that is in flight.
pub(crate) async fn until_answered<DB: Engine, T>(
    control: &Control<DB>,
    backend: &mut Cancellable,
    left: Wire,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let _reset = ResetInterrupt(backend.interrupt.clone());
    let mut answer = pin!(answer);
    let mut pauses = control.round_trip().pauses();
    let mut wrong_servers = WrongServers::default();
    let mut pause = GRACE;
    loop {
        if let Some(result) = backend.take_result().await
            && wrong_servers.is_hopeless(result)
        {
            return Err(backend.left_to_its_server::<DB>());
        }
        match clock::within(pause, answer.as_mut()).await {
            Some(Ok(_)) if backend.cancel_at_large => return Err(cancel_at_large()),
            Some(answer) => return answer,
            None => backend.ask(control, left),
        }
        pause = pauses.next();
    }
}

/// Ends a session on the server that is of no more use here. Asks again, with growing pauses, until
/// the server has done it or cannot be reached.
pub(crate) async fn kill<DB: Engine>(control: &Control<DB>, backend: &mut Cancellable) {
    let mut pauses = control.round_trip().pauses();
    let mut wrong_servers = WrongServers::default();
    loop {
        backend.ask(control, Wire::Busy);
        match backend.take_result().await {
            None | Some(CancelResult::Delivered) => return,
            Some(result) if wrong_servers.is_hopeless(result) => {
                return drop(backend.left_to_its_server::<DB>());
            }
            Some(_) => clock::sleep(pauses.next()).await,
        }
    }
}

/// Clears the interrupt flag of a SQLite session when it is dropped, so that the session can work
/// again.
struct ResetInterrupt(Option<Arc<AtomicBool>>);

impl Drop for ResetInterrupt {
    fn drop(&mut self) {
        if let Some(interrupt) = &self.0 {
            interrupt.store(false, Ordering::Relaxed);
        }
    }
}
