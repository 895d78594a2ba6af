//! How a caller comes by a session.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use deadpool::managed::{Object, PoolError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::second_sessions::Entry;
use crate::engine::Engine;
use crate::model::error::{AcquireTimeout, Error, Overload, PoolFigures, Refused, WaitedFor};
use crate::model::open_scope::{OpenScope, ScopeState};
use crate::model::request::Need;
use crate::observe::opening::Stage;
use crate::observe::scopes::WaitProgress;
use crate::pool::Db;
use crate::pool::gate::Rejection;
use crate::pool::sandbox_session::{LendError, SandboxSession};
use crate::pool::session::{Manager, Session};

/// Permits that a session is given out with, and that end with it.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    /// The place in the queue of writers, where the engine has one.
    turn: Option<OwnedSemaphorePermit>,
    /// One of the sessions that are not kept for callers who hold one already.
    first: Option<OwnedSemaphorePermit>,
    /// The sandbox's one session.
    pub(crate) sandbox: Option<OwnedSemaphorePermit>,
}

impl Permits {
    /// Lets others have what it is not in the pool for any more.
    pub(crate) fn release(&mut self) {
        self.turn = None;
        self.first = None;
    }

    /// Of a caller that writes nothing.
    pub(super) fn first(first: Option<OwnedSemaphorePermit>) -> Option<Box<Self>> {
        let permits = |first| Self {
            first: Some(first),
            ..Self::default()
        };
        first.map(permits).map(Box::new)
    }
}

impl<DB: Engine> Db<DB> {
    pub(crate) async fn acquire(
        &self,
        deadline: Instant,
        need: &Need,
    ) -> Result<Session<DB>, Error> {
        let acquired = self.acquire_unseen(deadline, need).await;
        let limit = self.shared.limits.acquire_timeout;
        let taken = acquired.as_ref().map(Session::taken_at);
        self.meter().waited(limit, deadline, taken);
        acquired
    }

    async fn acquire_unseen(&self, deadline: Instant, need: &Need) -> Result<Session<DB>, Error> {
        if let Some(lent) = &self.sandbox {
            // Boxed, or every scope's future would have room for it.
            return Box::pin(self.borrow(lent, deadline, need)).await;
        }
        let progress = WaitProgress::default();
        let mut leased = pin!(self.take(need, &progress.has_turn));
        // Who need not wait needs no timer, and is no waiter.
        let (object, permits) = match self.shared.gate.at_once(need, leased.as_mut()).await {
            Ok(leased) => leased?,
            Err(stage) => {
                let _waiting = (Waiting::new(&self.shared.waiting), self.meter().waiting());
                let _seconds = self.enter(need)?;
                progress
                    .opens
                    .store(stage == Stage::Opening, Ordering::Relaxed);
                let since = Instant::now();
                // Boxed, or every scope's future would have room for it.
                match Box::pin(self.wait(need, stage, deadline, &progress, leased)).await {
                    Ok(leased) => leased?,
                    Err(rejection) => {
                        let wait = Wait {
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
        // Only now `close` waits for it.
        if self.shared.pool.is_closed() {
            return Err(Error::closed());
        }
        Ok(self.opened(session, need))
    }

    /// Listed while it waits, and no longer: an error is to name the others.
    async fn wait<T>(
        &self,
        need: &Need,
        stage: Stage,
        deadline: Instant,
        progress: &WaitProgress,
        leased: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Rejection> {
        let listed = pin!(self.scopes_here().listing(need, None, progress, leased));
        self.shared.gate.pass(need, stage, deadline, listed).await
    }

    /// The session of a sandbox.
    async fn borrow(
        &self,
        lent: &SandboxSession<DB>,
        deadline: Instant,
        need: &Need,
    ) -> Result<Session<DB>, Error> {
        let _waiting = (Waiting::new(&self.shared.waiting), self.meter().waiting());
        let lend = pin!(lent.lend(self, deadline, need));
        let progress = WaitProgress::default();
        progress.has_turn.store(true, Ordering::Relaxed);
        let (since, scopes) = (Instant::now(), self.scopes_here());
        match scopes.listing(need, lent.id(), &progress, lend).await {
            Err(LendError::Held(by)) => {
                let wait = Wait {
                    since,
                    deadline,
                    progress: &progress,
                };
                Err(self.acquire_timed_out(&wait, Some(by)))
            }
            Err(LendError::Closed) => Err(Error::closed()),
            Err(LendError::Over(why)) => Err(Error::refused(need.scope, why)),
            Ok(session) => Ok(self.opened(session, need)),
        }
    }

    fn enter(&self, need: &Need) -> Result<Option<Entry<'_>>, Error> {
        let max = self.shared.limits.max_sessions;
        self.shared.second_sessions.enter(*need, max)
    }

    async fn take(
        &self,
        need: &Need,
        has_turn: &AtomicBool,
    ) -> Result<(Object<Manager<DB>>, Option<Box<Permits>>), Error> {
        let turn = permit(self.shared.writers.as_ref().filter(|_| need.writes)).await?;
        has_turn.store(true, Ordering::Relaxed);
        let first = permit(self.shared.firsts.as_ref().filter(|_| need.held == 0)).await?;
        let object = self.shared.pool.get().await.map_err(pool_error)?;
        if turn.is_none() && first.is_none() {
            return Ok((object, None));
        }
        let permits = Permits {
            turn,
            first,
            sandbox: None,
        };
        Ok((object, Some(Box::new(permits))))
    }

    fn rejected(&self, need: &Need, rejection: Rejection, wait: &Wait<'_>) -> Error {
        let settings = self.shared.gate.settings();
        let refused = match rejection {
            Rejection::TimedOut => return self.acquire_timed_out(wait, None),
            Rejection::Shed { waited } => Refused::Waiting {
                waited,
                target: settings.target.unwrap_or_default(),
                interval: settings.interval,
            },
            Rejection::Full => Refused::New {
                max_waiting: settings.max_waiting.unwrap_or_default(),
            },
        };
        let (holders, is_stuck) = self.holders_since(wait);
        let status = self.status();
        Error::overloaded(Overload {
            refused,
            writes: need.writes && DB::ONE_WRITER,
            max: status.max,
            in_use: status.in_use,
            settling: status.settling,
            holders,
            is_stuck,
        })
    }

    /// Who has what was waited for, and whether all of them have had it for the whole wait.
    fn holders_since(&self, wait: &Wait<'_>) -> (Vec<OpenScope>, bool) {
        let waited = wait.since.elapsed();
        let holders = self.holders(!wait.has_turn());
        let kept = |scope: &OpenScope| scope.age >= waited && scope.state != ScopeState::Settling;
        let is_stuck = !holders.is_empty() && holders.iter().all(kept);
        (holders, is_stuck)
    }

    fn acquire_timed_out(&self, wait: &Wait<'_>, sandbox: Option<&'static str>) -> Error {
        let limit = self.shared.limits.acquire_timeout;
        let waited = limit + Instant::now().saturating_duration_since(wait.deadline);
        let waited_for = match sandbox {
            Some(holder) => WaitedFor::Sandbox {
                holder,
                holders: self.holders_since(wait).0,
            },
            None => self.waited_for(wait),
        };
        Error::acquire_timeout(AcquireTimeout {
            limit,
            waited,
            waited_for,
        })
    }

    fn waited_for(&self, wait: &Wait<'_>) -> WaitedFor {
        let (holders, is_stuck) = self.holders_since(wait);
        let status = self.status();
        let pool = PoolFigures {
            max: status.max,
            in_use: status.in_use,
            settling: status.settling,
            waiting: status.waiting.saturating_sub(1),
            holders,
        };
        match (wait.has_turn(), wait.progress.opens.load(Ordering::Relaxed)) {
            (false, _) => WaitedFor::Turn(pool),
            (true, true) => WaitedFor::Connection(pool),
            (true, false) => WaitedFor::Session { pool, is_stuck },
        }
    }
}

/// A wait that was in vain.
struct Wait<'a> {
    since: Instant,
    deadline: Instant,
    progress: &'a WaitProgress,
}

impl Wait<'_> {
    fn has_turn(&self) -> bool {
        self.progress.has_turn.load(Ordering::Relaxed)
    }
}

/// Who waits for a permit holds no session; where there is nothing to wait for, there is no permit.
async fn permit(of: Option<&Arc<Semaphore>>) -> Result<Option<OwnedSemaphorePermit>, Error> {
    match of {
        Some(semaphore) => match Arc::clone(semaphore).acquire_owned().await {
            Ok(permit) => Ok(Some(permit)),
            Err(_) => Err(Error::closed()),
        },
        None => Ok(None),
    }
}

fn pool_error(error: PoolError<Error>) -> Error {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Closed => Error::closed(),
        // Only with timeouts and hooks, of which there are none.
        error => Error::connect(sqlx::Error::Configuration(error.to_string().into())),
    }
}

/// Counts a caller as waiting until it is dropped.
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
