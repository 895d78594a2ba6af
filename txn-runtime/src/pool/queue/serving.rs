//! Who is served next, and who is told to have a session opened.

use std::mem;

use super::parts::{Answer, Answered, Due, Held, Waiting};
use super::{KINDS, Queue};
use crate::model::request::{Kind, Ticket};

impl<S, E, W: Clone, C: Clone> Queue<S, E, W, C> {
    /// Returns true if a caller of this kind may have a session, if there is one.
    pub(super) fn may_have(&self, kind: Kind) -> bool {
        let has_room = kind.second || self.held[0] < self.max - self.reserved;
        has_room && !(kind.turn && self.turn)
    }

    /// How many waiters could be served, if there were sessions enough.
    pub(super) fn servable(&self) -> usize {
        let waiting = |turn, second| self.lines[Kind { turn, second }.index()].waiting.len();
        let room = (self.max - self.reserved).saturating_sub(self.held[0]);
        let turn = usize::from(!self.turn);
        let second_writers = waiting(true, true).min(turn);
        let first_writers = waiting(true, false).min(turn - second_writers);
        let firsts = waiting(false, false) + first_writers;
        waiting(false, true) + second_writers + firsts.min(room)
    }

    /// Returns true if a waiter lacks nothing but a session, none is being opened for it, and one
    /// may be.
    pub(super) fn lacks_sessions(&self) -> bool {
        self.open() < self.max && self.opening < self.servable()
    }

    /// Restores that nobody waits who could be served, and that a session is being opened for
    /// everybody who lacks only that.
    ///
    /// A change may free a place and a turn, for which two waiters of different kinds have waited
    /// beside idle sessions. So two are served at most. Two are told to have a session opened, if
    /// one who was answered had been told to and had not learnt of it.
    pub(super) fn settle(&mut self) -> Due<S, W> {
        if self.waiting() == 0 {
            return Due::NOTHING;
        }
        Due {
            wake: [
                self.serve(),
                self.serve(),
                self.tell_to_open(),
                self.tell_to_open(),
            ],
            close: None,
        }
    }

    /// Gives an idle session to the waiter that has waited longest of those that may have it.
    fn serve(&mut self) -> Option<W> {
        if self.idle.is_empty() {
            return None;
        }
        let ticket = self.oldest(|_| true)?;
        let session = self.idle.pop()?;
        let held = self.hand_out(ticket.kind);
        self.answer(ticket, Answer::Served(held, session))
    }

    /// Tells a waiter to have a session opened, if one is lacking.
    fn tell_to_open(&mut self) -> Option<W> {
        if !self.lacks_sessions() {
            return None;
        }
        let ticket = self.oldest(|waiting| !waiting.opens)?;
        let line = &mut self.lines[ticket.kind.index()];
        let waiting = line.waiting.get_mut(ticket.number)?;
        waiting.opens = true;
        self.opening += 1;
        waiting.waker.clone()
    }

    /// Returns the waiter that has waited longest, of those that may have a session and of which
    /// `which` is true.
    fn oldest(&self, which: impl Fn(&Waiting<W, C>) -> bool) -> Option<Ticket> {
        let of_kind = |kind: Kind| {
            let line = &self.lines[kind.index()];
            let (number, _) = line.waiting.iter().find(|(_, waiting)| which(waiting))?;
            let number = *number;
            Some(Ticket { number, kind })
        };
        let kinds = KINDS.into_iter().filter(|kind| self.may_have(*kind));
        kinds.filter_map(of_kind).min()
    }

    /// Gives a waiter its answer. Returns how to wake it.
    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer<S, E>) -> Option<W> {
        let line = &mut self.lines[ticket.kind.index()];
        let waiting = line.waiting.remove(ticket.number)?;
        self.opening -= usize::from(waiting.opens);
        let caller = waiting.caller;
        line.answered
            .insert(ticket.number, Answered { caller, answer });
        waiting.waker
    }

    /// Takes back the sessions that waiters of this kind were given and have not fetched. They
    /// learn that the queue is closed; they are woken already.
    pub(super) fn take_unfetched(&mut self, kind: Kind) -> Vec<S> {
        let mut unfetched: Vec<(Held, S)> = Vec::new();
        for Answered { answer, .. } in self.lines[kind.index()].answered.values_mut() {
            match mem::replace(answer, Answer::Closed) {
                Answer::Served(held, session) => unfetched.push((held, session)),
                other => *answer = other,
            }
        }
        let back = |(held, session)| {
            self.take_back(held);
            session
        };
        unfetched.into_iter().map(back).collect()
    }
}
