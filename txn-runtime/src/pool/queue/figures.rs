//! What can be seen of the queue from outside: its figures, and what each waiter waits for.

use super::{KINDS, Queue};
use crate::model::request::{Kind, Ticket, WaitStage};

impl<S, E, W: Clone> Queue<S, E, W> {
    /// How many places are taken.
    pub(crate) fn open(&self) -> usize {
        self.idle.len() + self.opening + self.held[0] + self.held[1]
    }

    /// How many sessions are idle.
    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// How many sessions scopes and users hold.
    pub(crate) fn in_use(&self) -> usize {
        self.held[0] + self.held[1] - self.settling
    }

    /// How many callers wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lines.iter().map(|line| line.waiting.len()).sum()
    }

    /// Returns what each of these waiters waits for.
    pub(crate) fn stages(&self, tickets: impl Iterator<Item = Ticket>) -> Vec<WaitStage> {
        let last = self.last_with_opening();
        tickets.map(|ticket| self.stage(ticket, last)).collect()
    }

    fn stage(&self, ticket: Ticket, last: Option<u64>) -> WaitStage {
        let line = &self.lines[ticket.kind.index()];
        match line.waiting.get(&ticket.number) {
            None => WaitStage::Due,
            Some(waiting) if waiting.opens => WaitStage::Due,
            Some(_) if ticket.kind.turn && self.turn => WaitStage::Turn,
            Some(_) if last.is_some_and(|last| ticket.number <= last) => WaitStage::Connection,
            Some(_) => WaitStage::Session,
        }
    }

    /// Returns the number of the last waiter for which a session is being opened, if they get them
    /// in their order.
    fn last_with_opening(&self) -> Option<u64> {
        let kinds = KINDS.into_iter().filter(|kind| self.may_have(*kind));
        let first = |kind: Kind| self.lines[kind.index()].waiting.keys().take(self.opening);
        let mut first: Vec<u64> = kinds.flat_map(first).copied().collect();
        first.sort_unstable();
        first.truncate(self.opening);
        first.last().copied()
    }
}
