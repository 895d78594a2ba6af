//! Acquiring a session.
//!
//! A caller takes an idle session, or a place in the queue:
//!
//! ```text
//!   take ──► served at once ───────────────────────────────► usable? ──► session
//!     │                                                        │   ▲
//!     ├──► waits ──► served ───────────────────────────────────┼───┘
//!     │      │                                                 └──► closed, and take another
//!     │      ├──► no session could be opened ──► the error
//!     │      └──► shed, or the deadline passes
//!     └──► too many wait, or closed
//! ```
//!
//! Only a caller that is not served at once counts as waiting, gets a timer, and appears in the
//! list of open scopes. If it holds a session already (`requires_new`), and if then all sessions
//! would be held by callers that wait for another, none of them could ever go on. It is refused
//! instead: it is the last to come, and has lost the least.
//!
//! Whoever gives a session back hands it to the first waiter that may have it; see `queue`.
//! Dropping a caller passes on what it was given.
//!
//! Inside of a sandbox there is one session, and its one permit is all that is waited for.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

mod failed;

use self::failed::FailedWait;
use super::queue::{Answer, Held, Take};
use super::sessions::{Idle, Waiter};
use crate::engine::{Engine, clock};
use crate::model::error::{Error, Starved, WaitedFor};
use crate::model::labels::CloseReason;
use crate::model::request::{Need, Ticket, WaitStage, WaitingCaller};
use crate::observe::events::Event;
use crate::observe::scopes::WaitPlace;
use crate::pool::Db;
use crate::pool::gate::Rejection;
use crate::pool::sandbox_session::{LendError, SandboxSession};
use crate::pool::session::{Session, Slot};
use crate::pool::{settle, task_scopes};

impl<DB: Engine> Db<DB> {
    /// Acquires a session for `need`, and waits for it until `deadline`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up the place in the queue. A session that was handed over already goes to
    /// the next caller or back to the pool, and so does one that is being opened.
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
        let inside;
        let need = match task_scopes::are_none() {
            true => need,
            false => {
                inside = self.need_inside(need)?;
                inside.as_ref().unwrap_or(need)
            }
        };
        if let Some(sandbox) = &self.sandbox {
            // Boxed: see the head of scope.rs.
            return Box::pin(self.borrow(sandbox, deadline, need)).await;
        }
        let mut take = self.sessions().take(need);
        let (pooled, slot, lease) = loop {
            let (held, pooled) = match take {
                Take::Served(held, pooled) => {
                    self.shared.gate.served_at_once(need);
                    (held, pooled)
                }
                // Boxed: see the head of scope.rs.
                Take::Waits { ticket, opens } => {
                    Box::pin(self.wait(need, ticket, opens, deadline)).await?
                }
                Take::Starved(others) => return Err(self.starved(need, &others)),
                Take::Full => return Err(self.refused_as_full(need, deadline)),
                Take::Closed => return Err(Error::closed()),
            };
            let slot = Slot::new(self.sessions(), held);
            let lease = self.shared.leases.token();
            match self.usable(pooled, need, deadline).await? {
                Some(pooled) => break (pooled, slot, lease),
                None => take = slot.take_another(need),
            }
        };
        let session = Session::new(pooled, slot, self.clone(), lease);
        // `close` waits for leases. If it began before this lease existed, it may be over already,
        // so that nothing is left to the background: the session is closed before the error.
        if self.sessions().is_closed() {
            // Boxed: see the head of scope.rs.
            Box::pin(settle::close(session, CloseReason::WithPool)).await;
            return Err(Error::closed());
        }
        self.opened(&session, need);
        Ok(session)
    }

    /// Waits in the queue, as long as the gate allows.
    async fn wait(
        &self,
        need: &Need,
        ticket: Ticket,
        opens: bool,
        deadline: Instant,
    ) -> Result<(Held, Idle<DB>), Error> {
        let mut waiter = pin!(Waiter::new(self, ticket));
        if opens {
            self.open_in_background(Some(ticket));
        }
        let _waiting = self.events().waiting();
        let since = Instant::now();
        let opens = || self.sessions().stage_of(ticket) == WaitStage::Connection;
        let gate = &self.shared.gate;
        match gate
            .wait(need, since, deadline, waiter.as_mut(), opens)
            .await
        {
            Ok(Answer::Served(held, pooled)) => {
                if pooled.reused {
                    self.shared.gate.served(need, since);
                }
                Ok((held, pooled))
            }
            Ok(Answer::Failed(error)) => Err(error.into_error()),
            Ok(Answer::Closed) => Err(Error::closed()),
            Err(rejection) => {
                let stage = self.sessions().stage_of(ticket);
                // Before the error is made: it names the scopes that are open, and those are to be
                // the others.
                waiter.leave();
                let wait = FailedWait {
                    since,
                    deadline,
                    stage,
                };
                Err(self.rejected(need, rejection, &wait))
            }
        }
    }

    /// Makes the error of a caller that would wait for itself, along with these.
    fn starved(&self, need: &Need, others: &[WaitingCaller]) -> Error {
        let starved = Starved {
            max: self.shared.limits.max_sessions,
            others: others.iter().map(|other| other.need.scope).collect(),
        };
        Error::starved(need.scope, starved)
    }

    /// Makes the error of a caller that may not even wait.
    fn refused_as_full(&self, need: &Need, deadline: Instant) -> Error {
        let wait = FailedWait {
            since: Instant::now(),
            deadline,
            stage: WaitStage::Session,
        };
        self.rejected(need, Rejection::Full, &wait)
    }

    /// Returns the session if it may be used. If it may not, it is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the session.
    pub(super) async fn usable(
        &self,
        mut pooled: Idle<DB>,
        need: &Need,
        deadline: Instant,
    ) -> Result<Option<Idle<DB>>, Error> {
        // One that was handed out as it was opened is as good as new.
        if !pooled.reused && pooled.is_fresh() {
            return Ok(Some(pooled));
        }
        pooled.reused = true;
        match self
            .connector()
            .time_left(&pooled, std::time::Instant::now())
        {
            // It is one of those that are to be idle, however long that is.
            Err(CloseReason::IdleTimeout) if self.sessions().min_idle > 0 => {}
            Err(why) => {
                pooled.discard(why);
                return Ok(None);
            }
            Ok(_) => {}
        }
        if self.callbacks().before_acquire.is_none() {
            return Ok(Some(pooled));
        }
        // Boxed: see the head of scope.rs.
        match Box::pin(self.ask_before_acquire(&mut pooled, need, deadline)).await? {
            true => Ok(Some(pooled)),
            false => {
                pooled.discard(CloseReason::Rejected);
                Ok(None)
            }
        }
    }

    /// Asks the user's `before_acquire` about a session, until the deadline, or until the handle is
    /// closed.
    async fn ask_before_acquire(
        &self,
        pooled: &mut Idle<DB>,
        need: &Need,
        deadline: Instant,
    ) -> Result<bool, Error> {
        let _waiting = (Waiting::new(&self.shared.waiting), self.events().waiting());
        // If it is dropped meanwhile, it is closed.
        pooled.tracker.closes(CloseReason::Rejected);
        let answer = {
            let asked = pin!(pooled.may_be_taken(self.callbacks()));
            let scopes = self.scopes_here();
            let listed = scopes.listing(need, WaitPlace::Callback, asked);
            let asked = self.connector().closing.run_until_cancelled(listed);
            clock::within(deadline.saturating_duration_since(Instant::now()), asked).await
        };
        if answer.is_some() {
            pooled.tracker.closes(CloseReason::WithPool);
        }
        match answer {
            Some(Some(may)) => Ok(may),
            Some(None) => Err(Error::closed()),
            None => Err(self.acquire_timed_out(deadline, WaitedFor::Callback)),
        }
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
        let (since, scopes) = (Instant::now(), self.scopes_here());
        match scopes
            .listing(need, WaitPlace::Sandbox(sandbox.id()), lend)
            .await
        {
            Err(LendError::Held(by)) => {
                let wait = FailedWait {
                    since,
                    deadline,
                    stage: WaitStage::Session,
                };
                Err(self.acquire_timed_out(deadline, self.waited_for_sandbox(&wait, by)))
            }
            Err(LendError::Closed) => Err(Error::closed()),
            Err(LendError::Over(why)) => Err(Error::refused(need.scope, why)),
            Ok(session) => {
                self.opened(&session, need);
                Ok(session)
            }
        }
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
