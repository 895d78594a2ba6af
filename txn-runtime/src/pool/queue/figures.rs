//! What can be seen of the queue from outside: its figures, who waits, and for what.

use super::{KINDS, Queue};
use crate::model::request::{Kind, Ticket, WaitStage};

impl<S, E, W: Clone, C: Clone> Queue<S, E, W, C> {
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

    /// Returns the callers that are in the queue, and what each one waits for.
    pub(crate) fn callers(&self) -> impl Iterator<Item = (&C, WaitStage)> {
        let last = self.last_with_opening();
        KINDS.into_iter().flat_map(move |kind| {
            let line = &self.lines[kind.index()];
            let waiting = line.waiting.iter().map(move |(number, waiting)| {
                let number = *number;
                let stage = self.stage(Ticket { number, kind }, waiting.opens, last);
                (&waiting.caller, stage)
            });
            let answered = line.answered.iter();
            waiting.chain(answered.map(|(_, answered)| (&answered.caller, WaitStage::Due)))
        })
    }

    /// Returns what a caller in the queue waits for.
    pub(crate) fn stage_of(&self, ticket: Ticket) -> WaitStage {
        let waiting = &self.lines[ticket.kind.index()].waiting;
        match waiting.get(ticket.number) {
            None => WaitStage::Due,
            Some(waiting) => self.stage(ticket, waiting.opens, self.last_with_opening()),
        }
    }

    fn stage(&self, ticket: Ticket, opens: bool, last: Option<u64>) -> WaitStage {
        match opens {
            true => WaitStage::Due,
            false if ticket.kind.turn && self.turn => WaitStage::Turn,
            false if last.is_some_and(|last| ticket.number <= last) => WaitStage::Connection,
            false => WaitStage::Session,
        }
    }

    /// Returns the number of the last waiter for which a session is being opened, if they get them
    /// in their order.
    fn last_with_opening(&self) -> Option<u64> {
        let kinds = KINDS.into_iter().filter(|kind| self.may_have(*kind));
        let first = |kind: Kind| self.lines[kind.index()].waiting.iter().take(self.opening);
        let mut first: Vec<u64> = kinds.flat_map(first).map(|(number, _)| *number).collect();
        first.sort_unstable();
        first.truncate(self.opening);
        first.last().copied()
    }
}
