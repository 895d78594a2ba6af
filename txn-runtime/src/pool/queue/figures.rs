//! What can be seen of the queue from outside: its figures, who waits, and for what.

use super::parts::Answer;
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

    /// Returns the callers that are in the queue, and what each one waits for. Without `all`, those
    /// are left out that keep nothing from others: they hold no session, and none is being opened
    /// for them.
    pub(crate) fn callers(&self, all: bool) -> impl Iterator<Item = (&C, WaitStage)> {
        let openings = self.openings();
        KINDS.into_iter().flat_map(move |kind| {
            let line = &self.lines[kind.index()];
            let openings = openings.clone();
            let waiting = line.waiting.iter().filter_map(move |(number, waiting)| {
                let number = *number;
                let stage = self.stage(Ticket { number, kind }, waiting.opens, &openings);
                let keeps = kind.second || matches!(stage, WaitStage::Due | WaitStage::Connection);
                (all || keeps).then_some((&waiting.caller, stage))
            });
            // One with an error holds nothing and waits for nothing: it has only to be polled.
            let answered = line.answered.iter().map(|(_, answered)| answered);
            let served = answered.filter(|it| matches!(it.answer, Answer::Served(..)));
            waiting.chain(served.map(|it| (&it.caller, WaitStage::Due)))
        })
    }

    /// Returns what a caller in the queue waits for.
    pub(crate) fn stage_of(&self, ticket: Ticket) -> WaitStage {
        let waiting = &self.lines[ticket.kind.index()].waiting;
        match waiting.get(ticket.number) {
            None => WaitStage::Due,
            Some(waiting) => self.stage(ticket, waiting.opens, &self.openings()),
        }
    }

    fn stage(&self, ticket: Ticket, opens: bool, openings: &[Ticket]) -> WaitStage {
        match opens {
            true => WaitStage::Due,
            false if ticket.kind.turn && self.turn => WaitStage::Turn,
            false if openings.binary_search(&ticket).is_ok() => WaitStage::Connection,
            false => WaitStage::Session,
        }
    }

    /// Returns the waiters for which sessions are being opened, if they get them in their order.
    fn openings(&self) -> Vec<Ticket> {
        let first = |kind: Kind| {
            let line = self.lines[kind.index()].waiting.iter();
            let first = line.take(self.opening);
            first.map(move |(number, _)| Ticket {
                number: *number,
                kind,
            })
        };
        let mut waiters: Vec<Ticket> = KINDS.into_iter().flat_map(first).collect();
        waiters.sort_unstable();
        let mut room = (self.max - self.reserved).saturating_sub(self.held[0]);
        let mut turn = !self.turn;
        waiters.retain(|Ticket { kind, .. }| {
            let may_have = (kind.second || room > 0) && (!kind.turn || turn);
            room -= usize::from(may_have && !kind.second);
            turn &= !(may_have && kind.turn);
            may_have
        });
        waiters.truncate(self.opening);
        waiters
    }
}
