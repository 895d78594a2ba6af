//! The slot of a session: its place among the `max_sessions` of the pool.
//!
//! A slot can be freed before its session is: if the connection breaks in the middle of a body, the
//! pool may open another session at once, however long that body goes on.
//!
//! ```text
//!   new ──► taken ──► fill            the session is idle again
//!             │
//!             ├─────► take_another    the session is of no use: its caller gets another
//!             ├─────► release         the slot is free, the session is orphaned
//!             └─────► drop            the slot is free
//! ```

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::engine::Engine;
use crate::model::labels::CloseReason;
use crate::model::request::{Need, WaitingCaller};
use crate::observe::scopes::Activity;
use crate::observe::tracker::SessionTracker;
use crate::pool::queue::{Held, Take};
use crate::pool::sessions::{Idle, Sessions};

/// The slot of one session that is checked out. Dropping it frees the slot, so that the pool may
/// open another session.
pub(crate) struct Slot<DB: Engine> {
    /// The place in the pool, along with the turn to write, if the session has that. `None` once it
    /// is free.
    place: Option<(Held, Arc<Sessions<DB>>)>,
    /// The right to the one session of a sandbox. It stays until its scope has ended.
    pub(super) sandbox: Option<OwnedSemaphorePermit>,
    /// The server refused a write because this session is read-only. Another session may not be, so
    /// this one is closed instead of going back.
    pub(super) only_reads: bool,
}

impl<DB: Engine> Slot<DB> {
    /// The slot that was handed out with a session.
    pub(crate) fn new(sessions: &Arc<Sessions<DB>>, held: Held) -> Self {
        Self {
            place: Some((held, Arc::clone(sessions))),
            sandbox: None,
            only_reads: false,
        }
    }

    /// Puts the session back into the pool.
    pub(super) fn fill(mut self, session: Idle<DB>) {
        if let Some((held, sessions)) = self.place.take() {
            sessions.give_back(held, session);
        }
    }

    /// Gives the slot of a session that is of no use for another one, or for the first place in the
    /// queue.
    pub(crate) fn take_another(mut self, need: &Need) -> Take<Idle<DB>, WaitingCaller> {
        match self.place.take() {
            Some((held, sessions)) => sessions.take_another(held, need),
            None => Take::Closed,
        }
    }

    /// Returns true until the slot is freed.
    pub(super) fn is_taken(&self) -> bool {
        self.place.is_some()
    }

    /// Frees the slot, because its session is broken. The holder may keep the session; it counts
    /// nowhere until it is dropped or settles. The permit of a sandbox stays with it.
    pub(super) fn release(&mut self) {
        if let Some((held, sessions)) = self.place.take() {
            sessions.lost(held);
        }
    }

    /// The session goes back to its sandbox, and is counted as in use again.
    pub(super) fn is_back(&mut self) {
        if let Some((held, sessions)) = &mut self.place {
            sessions.settled(held);
        }
    }

    /// The session begins to settle, and is not counted as in use from now on.
    pub(super) fn settles(&mut self) {
        if let Some((held, sessions)) = &mut self.place {
            sessions.settles(held);
        }
    }
}

impl<DB: Engine> Default for Slot<DB> {
    fn default() -> Self {
        Self {
            place: None,
            sandbox: None,
            only_reads: false,
        }
    }
}

impl<DB: Engine> Drop for Slot<DB> {
    fn drop(&mut self) {
        self.release();
    }
}

/// The parts of a session that a running statement reports to when it is refused or the connection
/// breaks. They are borrowed apart from the connection, which the statement itself has borrowed.
pub(crate) struct Hold<'a, DB: Engine> {
    /// Freed if the connection breaks.
    pub(super) slot: &'a mut Slot<DB>,
    /// Told that the session is gone.
    pub(super) tracker: &'a mut SessionTracker,
    /// Told that the session has no place any more.
    pub(super) activity: &'a Activity,
}

impl<DB: Engine> Hold<'_, DB> {
    /// A statement was refused. Notes whether that was because the session is read-only, unless the
    /// transaction itself was asked to be (`reads`).
    pub(crate) fn refused(&mut self, error: &sqlx::Error, reads: bool) {
        self.slot.only_reads |= !reads && error.as_database_error().is_some_and(DB::only_reads);
    }

    /// The connection is lost: frees the slot, though the holder may keep the session.
    pub(crate) fn release(&mut self) {
        self.tracker.gone(CloseReason::Broken);
        self.release_unexplained();
    }

    /// The connection is lost on a statement of the runtime: frees the slot. The runtime closes
    /// the session, and knows better for what reason.
    pub(crate) fn release_unexplained(&mut self) {
        self.activity.loses_place();
        self.slot.release();
    }
}
