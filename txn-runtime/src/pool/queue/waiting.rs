//! The callers that wait: which of them may, and what they hold meanwhile.

use super::parts::{Take, Waiting};
use super::{KINDS, Queue};
use crate::model::request::Ticket;

impl<S, E, W: Clone, C: Clone> Queue<S, E, W, C> {
    /// Adds a waiter, unless nobody could ever go on then.
    pub(super) fn wait(&mut self, ticket: Ticket, holds: usize, caller: C) -> Take<S, C> {
        if holds > 0 && self.held_by_waiters() + holds >= self.max {
            return Take::Starved(self.second_callers().map(|it| it.caller.clone()).collect());
        }
        let waiting = Waiting {
            caller,
            holds,
            waker: None,
            opens: false,
        };
        let line = &mut self.lines[ticket.kind.index()];
        line.waiting.insert(ticket.number, waiting);
        let opens = self.lacks_sessions();
        self.opening += usize::from(opens);
        Take::Waits { ticket, opens }
    }

    /// Returns true if a caller is in the queue and has no answer.
    pub(super) fn waits(&self, ticket: Ticket) -> bool {
        let waiting = &self.lines[ticket.kind.index()].waiting;
        waiting.get(ticket.number).is_some()
    }

    /// How many sessions are held by callers that wait for another. Only the others will come back
    /// by themselves.
    fn held_by_waiters(&self) -> usize {
        self.second_callers().map(|waiting| waiting.holds).sum()
    }

    /// The waiters that hold a session already.
    fn second_callers(&self) -> impl Iterator<Item = &Waiting<W, C>> {
        let seconds = KINDS.iter().filter(|kind| kind.second);
        let waiting = seconds.flat_map(|kind| self.lines[kind.index()].waiting.iter());
        waiting.map(|(_, waiting)| waiting)
    }

    /// Returns true if more callers wait than may.
    pub(super) fn is_too_long(&self) -> bool {
        let firsts = KINDS.iter().filter(|kind| !kind.second);
        let firsts: usize = firsts
            .map(|kind| self.lines[kind.index()].waiting.len())
            .sum();
        let queued = firsts.saturating_sub(self.opening);
        self.max_waiting.is_some_and(|max| queued > max)
    }
}
