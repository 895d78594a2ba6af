//! The sessions of one pool: the lock around their queue, and the callers that wait in it.
//!
//! Each method is one step of the [`Queue`]. The lock is never held across an await. Whatever may
//! run code of others, such as a waker or the drop of a connection, runs after the lock was let go.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::Db;
use super::connector::Connector;
use super::opening::NotOpened;
use super::queue::{Answer, Due, Held, Queue, Step, Take};
use super::session::{Pooled, Slot};
use crate::engine::Engine;
use crate::model::labels::CloseReason;
use crate::model::request::{Kind, Need, Ticket, WaitStage, WaitingCaller};

/// A session at rest. It is boxed because it is moved each time that it changes hands.
pub(super) type Idle<DB> = Box<Pooled<DB>>;

/// The queue, with what it consists of here.
type Waiters<DB> = Queue<Idle<DB>, NotOpened, Waker, WaitingCaller>;

/// What all handles and sessions of one pool share.
pub(crate) struct Sessions<DB: Engine> {
    /// Which sessions are idle, how many are held, and who waits.
    queue: Mutex<Waiters<DB>>,
    /// The queue is closed. It spares those the lock that only ask for this.
    closed: AtomicBool,
    /// How many sessions are to be idle.
    pub(super) min_idle: usize,
    /// Told when fewer are.
    short: Arc<Notify>,
    /// How sessions are opened.
    pub(crate) connector: Connector<DB>,
}

/// The figures of the queue at one moment.
pub(crate) struct Figures {
    pub(super) open: usize,
    pub(super) idle: usize,
    pub(super) in_use: usize,
    pub(super) waiting: usize,
}

impl<DB: Engine> Sessions<DB> {
    /// A pool of at most `max` sessions, `reserved` of which are for callers that hold one already.
    pub(super) fn new(
        max: usize,
        reserved: usize,
        min_idle: usize,
        max_waiting: Option<usize>,
        connector: Connector<DB>,
    ) -> Self {
        Self {
            queue: Mutex::new(Queue::new(max, reserved, max_waiting)),
            closed: AtomicBool::new(false),
            min_idle: min_idle.min(max),
            short: Arc::default(),
            connector,
        }
    }

    /// Takes a session, or a place in the queue.
    pub(super) fn take(&self, need: &Need) -> Take<Idle<DB>, WaitingCaller> {
        let mut queue = self.lock();
        let (kind, holds) = (need.kind(DB::ONE_WRITER), need.held as usize);
        let take = queue.take(kind, holds, || WaitingCaller::from_now(*need));
        self.let_go(queue);
        take
    }

    /// What is told when fewer sessions are idle than are to be.
    pub(super) fn short(&self) -> Arc<Notify> {
        Arc::clone(&self.short)
    }

    /// Begins to open a session for nobody, if too few are idle.
    pub(super) fn begin_spare(&self) -> bool {
        self.min_idle > 0 && self.lock().begin_spare(self.min_idle)
    }

    /// Returns true if fewer sessions are idle than are to be, and that may change by itself.
    pub(super) fn awaits_spare(&self) -> bool {
        self.min_idle > 0 && self.lock().awaits_spare(self.min_idle)
    }

    /// Takes another session, or the first place in the queue, because the one that was handed out
    /// is of no use.
    pub(super) fn take_another(&self, held: Held, need: &Need) -> Take<Idle<DB>, WaitingCaller> {
        let (caller, holds) = (|| WaitingCaller::from_now(*need), need.held as usize);
        let mut queue = self.lock();
        let (take, due) = queue.take_another(held, holds, caller);
        self.let_go(queue);
        self.see_to(due);
        take
    }

    /// Takes an idle session, if there is one that a caller of this kind may have.
    pub(super) fn take_idle(&self, kind: Kind) -> Option<(Held, Idle<DB>)> {
        self.lock().take_idle(kind)
    }

    /// Takes the turn to write without a session, unless somebody has it.
    pub(super) fn try_turn(&self) -> Option<Turn<'_, DB>> {
        let has_turn = self.lock().try_turn();
        has_turn.then(|| Turn(self))
    }

    /// A cleanup has the session from now on.
    pub(super) fn settles(&self, held: &mut Held) {
        self.lock().settles(held);
    }

    /// The cleanup is over, and the session is held as before.
    pub(super) fn settled(&self, held: &mut Held) {
        self.lock().settled(held);
    }

    /// A session comes back.
    pub(super) fn give_back(&self, held: Held, session: Idle<DB>) {
        let due = self.lock().give_back(held, session);
        self.see_to(due);
        // It may have freed the turn as well, and two have been served.
        if self.min_idle > 0 {
            self.let_go(self.lock());
        }
    }

    /// A session that was held is closed, or its connection is lost.
    pub(super) fn lost(&self, held: Held) {
        let mut queue = self.lock();
        let due = queue.lost(held);
        self.let_go(queue);
        self.see_to(due);
    }

    /// A session was opened. It is returned if the pool was closed meanwhile.
    pub(super) fn opened(&self, session: Idle<DB>) -> Option<Idle<DB>> {
        let mut due = self.lock().opened(session);
        let closed = due.close.take();
        self.see_to(due);
        closed
    }

    /// A session could not be opened: the waiter that was told to have it opened gets the error.
    pub(super) fn open_failed(&self, ticket: Option<Ticket>, error: NotOpened) {
        // If it was to be idle, the reaper tries again, after a pause.
        let is_spare = ticket.is_none();
        let mut queue = self.lock();
        let (due, _unused) = queue.open_failed(ticket, error);
        match is_spare {
            true => drop(queue),
            false => self.let_go(queue),
        }
        self.see_to(due);
    }

    /// The attempt to open a session was given up: somebody else makes it.
    pub(super) fn open_given_up(&self) {
        let mut queue = self.lock();
        let due = queue.open_given_up();
        self.let_go(queue);
        self.see_to(due);
    }

    /// Takes out the idle sessions that are not wanted any more, each with its slot.
    pub(super) fn retain(
        self: &Arc<Self>,
        keep: impl FnMut(&Idle<DB>) -> bool,
    ) -> Vec<(Slot<DB>, Idle<DB>)> {
        let rest = self.lock().retain(keep).into_iter();
        rest.map(|(held, session)| (Slot::new(self, held), session))
            .collect()
    }

    /// Closes the queue, and returns the sessions that nobody uses.
    pub(super) fn close(&self) -> Vec<Idle<DB>> {
        self.closed.store(true, Ordering::Release);
        let (idle, wake) = self.lock().close();
        wake.into_iter().for_each(Waker::wake);
        idle
    }

    /// Returns true if no session is handed out any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Returns the callers in the queue, and what each of them waits for. Without `all`, those are
    /// left out that keep nothing from others.
    pub(super) fn callers(&self, all: bool) -> Vec<(WaitingCaller, WaitStage)> {
        let queue = self.lock();
        let callers = queue.callers(all);
        callers.map(|(caller, stage)| (*caller, stage)).collect()
    }

    /// Returns what a caller in the queue waits for.
    pub(super) fn stage_of(&self, ticket: Ticket) -> WaitStage {
        self.lock().stage_of(ticket)
    }

    /// Returns the figures of this moment.
    pub(super) fn figures(&self) -> Figures {
        let queue = self.lock();
        Figures {
            open: queue.open(),
            idle: queue.idle(),
            in_use: queue.in_use(),
            waiting: queue.waiting(),
        }
    }

    /// Wakes those who have an answer, and closes a session that came back to a closed pool.
    fn see_to(&self, due: Due<Idle<DB>, Waker>) {
        due.wake.into_iter().flatten().for_each(Waker::wake);
        if let Some(session) = due.close {
            session.discard(CloseReason::WithPool);
        }
    }

    /// Lets go of the lock, and tells if fewer sessions are idle than are to be.
    fn let_go(&self, queue: MutexGuard<'_, Waiters<DB>>) {
        let is_short = self.min_idle > 0 && queue.is_short(self.min_idle);
        drop(queue);
        if is_short {
            self.short.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters<DB>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn to write, without a session, until it is dropped.
pub(super) struct Turn<'a, DB: Engine>(&'a Sessions<DB>);

impl<DB: Engine> Drop for Turn<'_, DB> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        let due = queue.end_turn();
        self.0.let_go(queue);
        self.0.see_to(due);
    }
}

/// A caller in the queue. It ends with the answer; its drop leaves the queue, and passes on what
/// the caller was given meanwhile.
pub(super) struct Waiter<'a, DB: Engine> {
    db: &'a Db<DB>,
    /// The place in the queue; `None` once it has its answer.
    ticket: Option<Ticket>,
}

impl<'a, DB: Engine> Waiter<'a, DB> {
    /// The caller that was given this ticket.
    pub(super) fn new(db: &'a Db<DB>, ticket: Ticket) -> Self {
        Self {
            db,
            ticket: Some(ticket),
        }
    }

    fn step(&self, ticket: Ticket, cx: &Context<'_>) -> Step<Idle<DB>, NotOpened, Waker> {
        self.db.sessions().lock().poll(ticket, cx.waker())
    }

    /// Leaves the queue, and passes on what it was given.
    pub(super) fn leave(mut self: Pin<&mut Self>) {
        if let Some(ticket) = self.ticket.take() {
            let sessions = self.db.sessions();
            let mut queue = sessions.lock();
            let (due, _unused) = queue.leave(ticket);
            sessions.let_go(queue);
            sessions.see_to(due);
        }
    }
}

impl<DB: Engine> Future for Waiter<'_, DB> {
    type Output = Answer<Idle<DB>, NotOpened>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = self.ticket.expect("it is not polled after its answer");
        let mut step = self.step(ticket, cx);
        if let Step::Open = step {
            self.db.open_in_background(Some(ticket));
            step = self.step(ticket, cx);
        }
        match step {
            Step::Answered(answer) => {
                self.ticket = None;
                Poll::Ready(answer)
            }
            // If its runtime has just ended, it is told to do so again, and again.
            Step::Open => {
                self.db.open_in_background(Some(ticket));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Waits { before } => {
                drop(before);
                Poll::Pending
            }
        }
    }
}

impl<DB: Engine> Drop for Waiter<'_, DB> {
    fn drop(&mut self) {
        Pin::new(self).leave();
    }
}
