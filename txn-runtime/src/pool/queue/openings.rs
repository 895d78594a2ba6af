//! The sessions that are being opened, and what becomes of them.

use super::Queue;
use super::parts::{Answer, Due, Unused};
use crate::model::request::Ticket;

impl<S, E, W: Clone, C: Clone> Queue<S, E, W, C> {
    /// Returns true if fewer than `min_idle` sessions are idle or will be, and more may be opened.
    pub(crate) fn is_short(&self, min_idle: usize) -> bool {
        let for_nobody = self.opening.saturating_sub(self.servable());
        let is_short = self.idle.len() + for_nobody < min_idle;
        is_short && !self.closed && self.open() < self.max
    }

    /// Returns true if fewer than `min_idle` sessions are idle, and that may change by itself: one
    /// is being opened, or may be.
    pub(crate) fn awaits_spare(&self, min_idle: usize) -> bool {
        let may_come = self.opening > 0 || self.open() < self.max;
        self.idle.len() < min_idle && may_come && !self.closed
    }

    /// Begins to open a session for nobody, if too few are idle.
    pub(crate) fn begin_spare(&mut self, min_idle: usize) -> bool {
        let begins = self.is_short(min_idle);
        self.opening += usize::from(begins);
        begins
    }

    /// A session was opened.
    pub(crate) fn opened(&mut self, session: S) -> Due<S, W> {
        self.opening -= 1;
        self.add(session)
    }

    /// A session could not be opened. The waiter that was told to have it opened gets the error, if
    /// it still waits. If others wait, one of them is told to have one opened.
    pub(crate) fn open_failed(
        &mut self,
        ticket: Option<Ticket>,
        error: E,
    ) -> (Due<S, W>, Option<Unused<E, W>>) {
        let Some(ticket) = ticket.filter(|ticket| self.waits(*ticket)) else {
            return (self.open_given_up(), Some(Unused::Error(error)));
        };
        let told = self.answer(ticket, Answer::Failed(error));
        let mut due = self.open_given_up();
        debug_assert!(due.wake[0].is_none(), "no session has come");
        due.wake[0] = told;
        (due, None)
    }

    /// The attempt to open a session was given up. If somebody waits for it, somebody else is told
    /// to make it.
    pub(crate) fn open_given_up(&mut self) -> Due<S, W> {
        self.opening -= 1;
        self.settle()
    }
}
