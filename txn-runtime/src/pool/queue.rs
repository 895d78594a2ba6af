//! The queue of sessions: which are idle, how many there may be, and who waits for one, in order.
//!
//! It is a pure state machine without a lock, a clock and I/O. Its owner holds one lock around it,
//! so that every method is one step, and wakes the waker that a step returns after it has let go
//! of the lock.
//!
//! # The life of a place
//!
//! There are at most `max` places. Each one is in one of these states:
//!
//! ```text
//!   free ──► opening ──opened──► idle ──► held ──give_back──► idle
//!    ▲          │                 │        │
//!    │          └── open_failed   │        └── lost: closed, or its connection is gone
//!    └─────────────┴──────────────┴────────┘
//! ```
//!
//! # The life of a waiter
//!
//! ```text
//!   take ──► waits ──► served ──poll──► holds a session
//!              │   ├──► failed ──poll──► has an error
//!              │   └──► closed ──poll──► learns that the pool is closed
//!              └── leave, from every state: what it was given goes to the next
//! ```
//!
//! A waiter may be told, along the way, to open a session. It hands that to a task, so that the
//! session is opened though the waiter leaves. The session is for whoever is first when it is open.
//!
//! # Who may be served
//!
//! A caller has a kind: whether it writes, on an engine with one writer at a time, and whether it
//! holds a session already. Whether somebody can be served depends on the kind alone. So callers of
//! one kind are served in their order, and one that cannot be served holds up no other kind:
//! readers pass writers that wait for their turn, and a caller that holds a session, for which
//! others may be waiting, passes those that hold none.
//!
//! After each step nobody waits who could be served. A caller that comes later can therefore be
//! served at once if its kind can be.
//!
//! Because each method is one step, the tests can go through every interleaving of three callers:
//! no session is lost or given twice, nobody is forgotten, and the order is kept.

use std::mem;

mod figures;
mod openings;
mod parts;
mod serving;
mod waiting;

use self::parts::Line;
pub(crate) use self::parts::{Answer, Due, Held, Step, Take, Unused};
use crate::model::request::{Kind, Ticket};

/// All kinds, each at its [`index`](Kind::index).
const KINDS: [Kind; 4] = [
    Kind {
        turn: false,
        second: false,
    },
    Kind {
        turn: false,
        second: true,
    },
    Kind {
        turn: true,
        second: false,
    },
    Kind {
        turn: true,
        second: true,
    },
];

/// The kind to which all places are open.
const RESERVED: Kind = KINDS[1];

/// The number of the first ticket. There is room for as many before it as after it.
const FIRST: u64 = u64::MAX / 2;

/// The sessions of one pool, and who waits for them.
///
/// `S` is an idle session, `E` the error of one that could not be opened, `W` a waker, and `C` what
/// is known of a caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Queue<S, E, W, C> {
    /// How many places there are.
    max: usize,
    /// How many of them are for callers that hold a session already. At least one is not.
    reserved: usize,
    /// How many callers may wait that hold no session and for which none is being opened.
    max_waiting: Option<usize>,
    /// The idle sessions. The one that came back last is taken first, so that the others can age.
    idle: Vec<S>,
    /// How many sessions are being opened, or a waiter was told to have opened.
    opening: usize,
    /// How many sessions are held by callers that held none before, and by others.
    held: [usize; 2],
    /// How many of those that are held settle.
    settling: usize,
    /// Somebody has the turn to write.
    turn: bool,
    /// The waiters, by the index of their kind.
    lines: [Line<S, E, W, C>; 4],
    /// The number of the next ticket.
    next: u64,
    /// The number of the last ticket that was put in front of all others.
    front: u64,
    closed: bool,
}

impl<S, E, W: Clone, C: Clone> Queue<S, E, W, C> {
    /// A queue without sessions.
    pub(crate) fn new(max: usize, reserved: usize, max_waiting: Option<usize>) -> Self {
        Self {
            max,
            reserved: reserved.min(max.saturating_sub(1)),
            max_waiting,
            idle: Vec::new(),
            opening: 0,
            held: [0; 2],
            settling: 0,
            turn: false,
            lines: Default::default(),
            next: FIRST,
            front: FIRST,
            closed: false,
        }
    }

    /// Takes a session, or a place in the queue. The caller `holds` that many sessions already, and
    /// keeps them while it waits.
    pub(crate) fn take(
        &mut self,
        kind: Kind,
        holds: usize,
        caller: impl FnOnce() -> C,
    ) -> Take<S, C> {
        if self.closed {
            return Take::Closed;
        }
        if let Some((held, session)) = self.take_idle(kind) {
            return Take::Served(held, session);
        }
        let number = self.next;
        self.next += 1;
        match self.wait(Ticket { number, kind }, holds, caller()) {
            Take::Waits {
                ticket,
                opens: false,
            } if !kind.second && self.is_too_long() => {
                self.lines[kind.index()].waiting.remove(ticket.number);
                Take::Full
            }
            take => take,
        }
    }

    /// Takes another session, or the first place in the queue, because the one that was handed out
    /// is of no use. In the queue it holds nothing, so that others may go on.
    pub(crate) fn take_another(
        &mut self,
        held: Held,
        holds: usize,
        caller: impl FnOnce() -> C,
    ) -> (Take<S, C>, Due<S, W>) {
        if let Some(session) = self.idle.pop() {
            return (Take::Served(held, session), Due::NOTHING);
        }
        let kind = held.kind;
        self.take_back(held);
        if self.closed {
            return (Take::Closed, Due::NOTHING);
        }
        self.front -= 1;
        let number = self.front;
        let take = self.wait(Ticket { number, kind }, holds, caller());
        (take, self.settle())
    }

    /// Takes an idle session, if there is one that a caller of this kind may have.
    pub(crate) fn take_idle(&mut self, kind: Kind) -> Option<(Held, S)> {
        if !self.may_have(kind) {
            return None;
        }
        let session = self.idle.pop()?;
        Some((self.hand_out(kind), session))
    }

    /// Takes the turn to write without a session. Returns false if somebody has it.
    pub(crate) fn try_turn(&mut self) -> bool {
        !mem::replace(&mut self.turn, true)
    }

    /// Gives back the turn that was taken without a session.
    pub(crate) fn end_turn(&mut self) -> Due<S, W> {
        self.turn = false;
        self.settle()
    }

    /// A cleanup has the session from now on.
    pub(crate) fn settles(&mut self, held: &mut Held) {
        self.settling += usize::from(!mem::replace(&mut held.settles, true));
    }

    /// The cleanup is over, and the session is held as before.
    pub(crate) fn settled(&mut self, held: &mut Held) {
        self.settling -= usize::from(mem::take(&mut held.settles));
    }

    /// Asks what a waiter is to do next.
    pub(crate) fn poll(&mut self, ticket: Ticket, waker: &W) -> Step<S, E, W> {
        let line = &mut self.lines[ticket.kind.index()];
        if let Some(answered) = line.answered.remove(ticket.number) {
            return Step::Answered(answered.answer);
        }
        let waiting = line.waiting.get_mut(ticket.number);
        let waiting = waiting.expect("it is not polled after its answer");
        if mem::take(&mut waiting.opens) {
            return Step::Open;
        }
        let before = waiting.waker.replace(waker.clone());
        Step::Waits { before }
    }

    /// A waiter leaves. What it was given goes to the next.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> (Due<S, W>, Option<Unused<E, W>>) {
        let line = &mut self.lines[ticket.kind.index()];
        if let Some(waiting) = line.waiting.remove(ticket.number) {
            // If it was told to have a session opened and did not learn of it, nobody opens it.
            self.opening -= usize::from(waiting.opens);
            return (self.settle(), waiting.waker.map(Unused::Waker));
        }
        match line.answered.remove(ticket.number).map(|it| it.answer) {
            Some(Answer::Served(held, session)) => (self.give_back(held, session), None),
            Some(Answer::Failed(error)) => (Due::NOTHING, Some(Unused::Error(error))),
            Some(Answer::Closed) | None => (Due::NOTHING, None),
        }
    }

    /// A session comes back.
    pub(crate) fn give_back(&mut self, held: Held, session: S) -> Due<S, W> {
        self.take_back(held);
        self.add(session)
    }

    /// A session that is held was closed, or its connection is lost.
    pub(crate) fn lost(&mut self, held: Held) -> Due<S, W> {
        self.take_back(held);
        self.settle()
    }

    /// Takes out the idle sessions that are not wanted any more. Each keeps its place, as if a
    /// cleanup had it, until it is closed.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&S) -> bool) -> Vec<(Held, S)> {
        let (kept, rest): (Vec<S>, Vec<S>) = mem::take(&mut self.idle)
            .into_iter()
            .partition(|it| keep(it));
        self.idle = kept;
        let hold = |session| {
            let mut held = self.hand_out(RESERVED);
            self.settles(&mut held);
            (held, session)
        };
        rest.into_iter().map(hold).collect()
    }

    /// Closes the queue. Returns the sessions that nobody uses, those included that a waiter was
    /// given and has not fetched, and who is to be woken.
    pub(crate) fn close(&mut self) -> (Vec<S>, Vec<W>) {
        self.closed = true;
        let (mut sessions, mut wake) = (mem::take(&mut self.idle), Vec::new());
        for kind in KINDS {
            sessions.extend(self.take_unfetched(kind));
            let waiting = self.lines[kind.index()].waiting.iter();
            for number in waiting.map(|(number, _)| *number).collect::<Vec<_>>() {
                wake.extend(self.answer(Ticket { number, kind }, Answer::Closed));
            }
        }
        (sessions, wake)
    }

    /// Notes that a session is held.
    fn hand_out(&mut self, kind: Kind) -> Held {
        self.held[usize::from(kind.second)] += 1;
        self.turn |= kind.turn;
        Held {
            kind,
            settles: false,
        }
    }

    /// Notes that a session is not held any more.
    fn take_back(&mut self, Held { kind, settles }: Held) {
        self.held[usize::from(kind.second)] -= 1;
        self.turn &= !kind.turn;
        self.settling -= usize::from(settles);
    }

    /// Adds an idle session.
    fn add(&mut self, session: S) -> Due<S, W> {
        if self.closed {
            return Due {
                close: Some(session),
                ..Due::NOTHING
            };
        }
        self.idle.push(session);
        self.settle()
    }
}

#[cfg(test)]
mod tests;
