//! Acquiring a session.
//!
//! A caller collects, in this order, what its session depends on, and holds what it has while it
//! waits for the next:
//!
//! 1. the writer's turn, if it writes and the engine allows one writer at a time;
//! 2. an unreserved place, if it holds no session yet and some are reserved for callers that do;
//! 3. a session from the pool, idle or newly opened.
//!
//! Every caller takes them in the same order, so no two callers that come with empty hands wait for
//! each other. (`second_sessions` sees to those that hold a session already.) All three are waited
//! for in one future, [`Db::check_out`], so dropping a caller gives back everything at once.
//!
//! ```text
//!   poll_once ──► ready ─────────────────────────────────────────────► session
//!       │                                                                 ▲
//!       └──► waiting for others ──► served, or a connection is opened ────┘
//!                   │                            │
//!                   ├──► shed, or too many wait  ├──► the server refuses, or the breaker is open
//!                   └──► the deadline passes     └──► the deadline passes
//! ```
//!
//! Only a caller that is not served by the first poll counts as waiting, gets a timer, and appears
//! in the list of open scopes.
//!
//! Inside of a sandbox there is one session, and its one permit is all that is waited for.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use deadpool::managed::{Object, PoolError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

mod failed;

use self::failed::FailedWait;
use super::second_sessions::Entry;
use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::labels::CloseReason;
use crate::model::request::Need;
use crate::observe::events::Event;
use crate::observe::opening::Stage;
use crate::observe::scopes::WaitProgress;
use crate::pool::Db;
use crate::pool::gate::Rejection;
use crate::pool::sandbox_session::{LendError, SandboxSession};
use crate::pool::session::{Manager, Session};
use crate::pool::settle;

/// The semaphore permits that go with a session. They are released when the session is dropped, or
/// when its connection breaks.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    /// The turn to write, on engines that allow one writer at a time.
    turn: Option<OwnedSemaphorePermit>,
    /// The right to one of the sessions that are not reserved for callers that hold one already.
    unreserved: Option<OwnedSemaphorePermit>,
    /// The right to the one session of a sandbox.
    pub(crate) sandbox: Option<OwnedSemaphorePermit>,
}

impl Permits {
    /// Releases what the session held of the pool, because its connection broke. The permit of a
    /// sandbox stays: its scope has to end before another begins.
    pub(crate) fn release(&mut self) {
        self.turn = None;
        self.unreserved = None;
    }

    /// Returns the permits of a caller that does not write.
    pub(super) fn of_reader(unreserved: Option<OwnedSemaphorePermit>) -> Option<Box<Self>> {
        let permits = |unreserved| Self {
            unreserved: Some(unreserved),
            ..Self::default()
        };
        unreserved.map(permits).map(Box::new)
    }
}

impl<DB: Engine> Db<DB> {
    /// Acquires a session for `need`, and waits for it until `deadline`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up the place in the queue. A connection that is being opened for it is
    /// closed, and a session that was already handed over goes back to the pool.
    pub(crate) async fn acquire(
        &self,
        deadline: Instant,
        need: &Need,
    ) -> Result<Session<DB>, Error> {
        let acquired = self.acquire_unmetered(deadline, need).await;
        let limit = self.shared.limits.acquire_timeout;
        match &acquired {
            Ok(session) => self.events().tell(Event::Served {
                taken: session.taken_at(),
                limit,
                until: deadline,
            }),
            Err(error) => self.events().tell_not_served(error),
        }
        acquired
    }

    /// [`acquire`](Self::acquire) without its metrics.
    async fn acquire_unmetered(
        &self,
        deadline: Instant,
        need: &Need,
    ) -> Result<Session<DB>, Error> {
        if let Some(sandbox) = &self.sandbox {
            // Boxed: see the head of scope.rs.
            return Box::pin(self.borrow(sandbox, deadline, need)).await;
        }
        // How far the caller is, for its own error and for the list of open scopes.
        let progress = WaitProgress::default();
        let mut checkout = pin!(self.check_out(need, &progress.has_turn));
        // A caller that is served at once needs no timer, and does not count as waiting.
        let (object, permits) = match self.shared.gate.poll_once(need, checkout.as_mut()).await {
            Ok(checked_out) => checked_out?,
            Err(stage) => {
                // Both guards live until the wait is over, or until this future is dropped.
                let _waiting = (Waiting::new(&self.shared.waiting), self.events().waiting());
                let _second_session = self.register_second_session(need)?;
                progress
                    .opens
                    .store(stage == Stage::Opening, Ordering::Relaxed);
                let since = Instant::now();
                // Boxed: see the head of scope.rs.
                match Box::pin(self.wait(need, stage, deadline, &progress, checkout)).await {
                    Ok(checked_out) => checked_out?,
                    Err(rejection) => {
                        let wait = FailedWait {
                            since,
                            deadline,
                            progress: &progress,
                        };
                        return Err(self.rejected(need, rejection, &wait));
                    }
                }
            }
        };
        let lease = self.shared.leases.token();
        let session = Session::new(object, self.clone(), lease, permits);
        // `close` waits for leases. If it began before this lease existed, it may be over already,
        // so that nothing is left to the background: the session is closed before the error.
        if self.shared.pool.is_closed() {
            // Boxed: see the head of scope.rs.
            Box::pin(settle::close(session, CloseReason::WithPool)).await;
            return Err(Error::closed());
        }
        self.opened(&session, need);
        Ok(session)
    }

    /// Waits for `checkout` as long as the gate allows.
    ///
    /// The caller is in the list of open scopes only while this is polled: the error of a wait that
    /// failed names the scopes in the list, and those are to be the others.
    async fn wait<T>(
        &self,
        need: &Need,
        stage: Stage,
        deadline: Instant,
        progress: &WaitProgress,
        checkout: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Rejection> {
        let listed = pin!(self.scopes_here().listing(need, None, progress, checkout));
        self.shared.gate.wait(need, stage, deadline, listed).await
    }

    /// Acquires the one session of a sandbox.
    async fn borrow(
        &self,
        sandbox: &SandboxSession<DB>,
        deadline: Instant,
        need: &Need,
    ) -> Result<Session<DB>, Error> {
        let _waiting = (Waiting::new(&self.shared.waiting), self.events().waiting());
        let lend = pin!(sandbox.lend(self, deadline, need));
        let progress = WaitProgress::default();
        progress.has_turn.store(true, Ordering::Relaxed);
        let (since, scopes) = (Instant::now(), self.scopes_here());
        match scopes.listing(need, sandbox.id(), &progress, lend).await {
            Err(LendError::Held(by)) => {
                let wait = FailedWait {
                    since,
                    deadline,
                    progress: &progress,
                };
                Err(self.acquire_timed_out(&wait, Some(by)))
            }
            Err(LendError::Closed) => Err(Error::closed()),
            Err(LendError::Over(why)) => Err(Error::refused(need.scope, why)),
            Ok(session) => {
                self.opened(&session, need);
                Ok(session)
            }
        }
    }

    /// Notes that a caller waits for another session while it holds one, unless that would be a
    /// deadlock.
    fn register_second_session(&self, need: &Need) -> Result<Option<Entry<'_>>, Error> {
        let max = self.shared.limits.max_sessions;
        self.shared.second_sessions.register(*need, max)
    }

    /// Waits for all that a session depends on; see the head of this file. Sets `has_turn` once the
    /// caller has its turn to write, or needs none.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives back what was collected so far.
    async fn check_out(
        &self,
        need: &Need,
        has_turn: &AtomicBool,
    ) -> Result<(Object<Manager<DB>>, Option<Box<Permits>>), Error> {
        let turn = acquire_permit(self.shared.writers.as_ref().filter(|_| need.writes)).await?;
        // The flag is only displayed, so `Relaxed` is enough.
        has_turn.store(true, Ordering::Relaxed);
        let unreserved = self.shared.unreserved.as_ref().filter(|_| need.held == 0);
        let unreserved = acquire_permit(unreserved).await?;
        let object = self.shared.pool.get().await.map_err(pool_error)?;
        // Most pools have neither, and then the box is spared.
        if turn.is_none() && unreserved.is_none() {
            return Ok((object, None));
        }
        let permits = Permits {
            turn,
            unreserved,
            sandbox: None,
        };
        Ok((object, Some(Box::new(permits))))
    }
}

/// Waits for a permit of `semaphore`. Without one there is nothing to wait for.
async fn acquire_permit(
    semaphore: Option<&Arc<Semaphore>>,
) -> Result<Option<OwnedSemaphorePermit>, Error> {
    match semaphore {
        Some(semaphore) => match Arc::clone(semaphore).acquire_owned().await {
            Ok(permit) => Ok(Some(permit)),
            Err(_) => Err(Error::closed()),
        },
        None => Ok(None),
    }
}

/// Turns deadpool's error into ours.
fn pool_error(error: PoolError<Error>) -> Error {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Closed => Error::closed(),
        // The rest comes from deadpool's own timeouts and hooks, and none are set.
        error => Error::connect(sqlx::Error::Configuration(error.to_string().into())),
    }
}

/// Counts a caller in [`Status::waiting`](crate::Status::waiting) until it is dropped. The count is
/// only displayed, so `Relaxed` is enough.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
