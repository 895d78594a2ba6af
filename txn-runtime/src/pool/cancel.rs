//! Ending on the server what a dropped operation has begun, so that its locks do not outlive it.
//!
//! PostgreSQL and MySQL/MariaDB are told over a *control connection*: one per `Db`, outside of the
//! pool, opened on first need and kept. SQLite is interrupted from within.
//!
//! A cancel says whom it is for: a name of a session means another session on another server, and
//! after a restart. It is checked by the statement that cancels, on the server that runs it; one
//! that turns out to be another is told nothing.

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

/// What to do with an operation that was dropped in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancel {
    /// Cancel it on the server. The session is kept where the driver survives that.
    #[default]
    Server,
    /// Close its session, and leave it to the server to notice: behind a pooler that hides which
    /// backend is whose, a cancel could hit somebody else's query.
    Close,
}

/// A session's backend, and what is known of the cancels that were sent to it.
#[derive(Debug)]
pub(crate) struct Cancellable {
    backend: Backend,
    /// A cancel that is on its way. It stays here when whoever asked for it is dropped: it could
    /// hit what is sent next.
    asked: Option<oneshot::Receiver<Answer>>,
    /// A cancel was sent, and whether it has arrived is not known and will not be.
    cancel_at_large: bool,
}

impl From<Backend> for Cancellable {
    fn from(backend: Backend) -> Self {
        Self {
            backend,
            asked: None,
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

/// Most answers are on their way already when an operation is dropped.
const GRACE: Duration = Duration::from_millis(1);
/// Behind one address there may be several servers: so often a new connection may find the right
/// one.
const TRIES_ELSEWHERE: u32 = 6;

impl Cancellable {
    /// What has come of the cancel that is on its way, if there is one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, the cancel stays known as being on its way.
    async fn told(&mut self) -> Option<CancelResult> {
        let answer = self.asked.as_mut()?.await;
        self.asked = None;
        // Only a runtime that shuts down drops whoever would answer.
        let answer = answer.unwrap_or_default();
        self.cancel_at_large |= answer.late;
        Some(answer.told)
    }

    fn ask<DB: Engine>(&mut self, control: &Control<DB>, left: Wire) {
        if let Some(interrupt) = &self.interrupt {
            interrupt.store(true, Ordering::Relaxed);
        } else if self.asked.is_none() {
            let is_kept = left == Wire::Partial;
            let target = self.target.clone();
            self.asked = Some(control.cancel(engine::Target { is_kept, ..target }));
        }
    }

    /// Says for the log that nothing was cancelled.
    fn left<DB: Engine>(&self) -> sqlx::Error {
        let backend = self.target.id;
        tracing::warn!(
            target: "txn", system = DB::SYSTEM, backend,
            "left to its server, a cancel could hit somebody else"
        );
        left_to_its_server()
    }
}

/// How often the control connection has led to another server.
#[derive(Default)]
struct WrongServers(u32);

impl WrongServers {
    fn are_enough(&mut self, told: CancelResult) -> bool {
        self.0 += u32::from(told == CancelResult::Elsewhere);
        self.0 == TRIES_ELSEWHERE || told == CancelResult::Nameless
    }
}

/// Waits for `answer`, cancelling what it waits for until it comes.
///
/// A cancel has been answered before this returns: one that was still on its way could hit the next
/// statement. Where that is not to be had, the session is of no more use.
///
/// # Cancel safety
///
/// Dropped, the next call for this session first waits for the cancel that is on its way.
pub(crate) async fn until_answered<DB: Engine, T>(
    control: &Control<DB>,
    backend: &mut Cancellable,
    left: Wire,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let _reset = Reset(backend.interrupt.clone());
    let mut answer = pin!(answer);
    let mut pauses = control.round_trip().pauses();
    let mut strays = WrongServers::default();
    let mut pause = GRACE;
    loop {
        if let Some(told) = backend.told().await
            && strays.are_enough(told)
        {
            return Err(backend.left::<DB>());
        }
        match clock::within(pause, answer.as_mut()).await {
            Some(Ok(_)) if backend.cancel_at_large => return Err(cancel_at_large()),
            Some(answer) => return answer,
            None => backend.ask(control, left),
        }
        pause = pauses.next();
    }
}

/// Ends a session on the server that is of no more use here; asks until the server has understood.
pub(crate) async fn kill<DB: Engine>(control: &Control<DB>, backend: &mut Cancellable) {
    let mut pauses = control.round_trip().pauses();
    let mut strays = WrongServers::default();
    loop {
        backend.ask(control, Wire::Busy);
        match backend.told().await {
            None | Some(CancelResult::Heard) => return,
            Some(told) if strays.are_enough(told) => return drop(backend.left::<DB>()),
            Some(_) => clock::sleep(pauses.next()).await,
        }
    }
}

/// Lets the session work again.
struct Reset(Option<Arc<AtomicBool>>);

impl Drop for Reset {
    fn drop(&mut self) {
        if let Some(interrupt) = &self.0 {
            interrupt.store(false, Ordering::Relaxed);
        }
    }
}
