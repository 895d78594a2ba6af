//! The sessions that are being opened, and what becomes of them.

use super::Queue;
use super::parts::{Answer, Due};
use crate::model::request::Ticket;

impl<S, E, W: Clone, C: Clone> Queue<S, E, W, C> {
    /// Returns true if fewer than `min_idle` sessions are idle or will be, and more may be opened.
    pub(crate) fn is_short(&self, min_idle: usize) -> bool {
        let for_nobody = self.opening.saturating_sub(self.servable());
        let is_short = self.idle.len() + for_nobody < min_idle;
        is_short && !self.closed && self.open() < self.max
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
    pub(crate) fn open_failed(&mut self, ticket: Option<Ticket>, error: E) -> Due<S, W> {
        let told = ticket.and_then(|ticket| self.answer(ticket, Answer::Failed(error)));
        let mut due = self.open_given_up();
        debug_assert!(due.wake[0].is_none(), "no session has come");
        due.wake[0] = told;
        due
    }

    /// The attempt to open a session was given up. If somebody waits for it, somebody else is told
    /// to make it.
    pub(crate) fn open_given_up(&mut self) -> Due<S, W> {
        self.opening -= 1;
        self.settle()
    }
}
