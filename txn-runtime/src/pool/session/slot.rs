//! The place of a session in its pool, and what it is given out with.
//!
//! The pool keeps a shell for each session that is open: full while the session is idle, empty while it is out. So a place can be
//! given back before its session is: when the connection breaks in the middle of a body, which may go on for as long as it likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool::managed::Object;

use super::pooled::{Manager, Pooled};
use crate::engine::Engine;
use crate::model::labels::CloseReason;
use crate::observe::metrics::SessionTracker;
use crate::pool::Permits;

/// Dropped, the place is free, for a session that is to be opened.
pub(crate) struct Slot<DB: Engine> {
    /// Empty; `None` once it was given back.
    shell: Option<Object<Manager<DB>>>,
    /// Most engines and pools have none.
    pub(super) permits: Option<Box<Permits>>,
    /// Set when the place was given back before the session.
    orphaned: Option<Orphan>,
    /// A statement that writes was refused on it, as on one that only reads.
    pub(super) only_reads: bool,
}

impl<DB: Engine> Slot<DB> {
    /// With the session that lay there.
    pub(super) fn empty(
        mut shell: Object<Manager<DB>>,
        permits: Option<Box<Permits>>,
    ) -> (Option<Box<Pooled<DB>>>, Self) {
        let pooled = shell.take();
        let slot = Self {
            shell: Some(shell),
            permits,
            orphaned: None,
            only_reads: false,
        };
        (pooled, slot)
    }

    /// Puts the session back into the pool.
    pub(super) fn fill(mut self, pooled: Box<Pooled<DB>>) {
        if let Some(mut shell) = self.shell.take() {
            *shell = Some(pooled);
        }
    }

    pub(super) fn is_taken(&self) -> bool {
        self.shell.is_some()
    }

    /// Frees the place, for the session that has it is of no more use. Its holder goes on to have the turn in a sandbox.
    pub(super) fn release(&mut self) {
        let Some(shell) = self.shell.take() else {
            return;
        };
        // Counted before the place is free, or the one who takes that would be one too many.
        let count = |pool| Orphan::new(Manager::orphaned(&pool));
        self.orphaned = Object::pool(&shell).map(count);
        drop(Object::take(shell));
        if let Some(permits) = &mut self.permits {
            permits.release();
        }
    }

    /// From here on it is counted among those that are being settled.
    pub(super) fn settles(&mut self) {
        self.orphaned = None;
    }
}

impl<DB: Engine> Default for Slot<DB> {
    fn default() -> Self {
        Self {
            shell: None,
            permits: None,
            orphaned: None,
            only_reads: false,
        }
    }
}

impl<DB: Engine> Drop for Slot<DB> {
    fn drop(&mut self) {
        if let Some(shell) = self.shell.take() {
            drop(Object::take(shell));
        }
    }
}

/// What a statement needs of the session that it runs on, should that break.
pub(crate) struct Hold<'a, DB: Engine> {
    pub(super) slot: &'a mut Slot<DB>,
    pub(super) tracker: &'a mut SessionTracker,
}

impl<DB: Engine> Hold<'_, DB> {
    /// What the server has said against a statement may be an answer of its session, which another would not give.
    ///
    /// Not so where the transaction was asked to only read.
    pub(crate) fn refused(&mut self, error: &sqlx::Error, reads: bool) {
        self.slot.only_reads |= !reads && error.as_database_error().is_some_and(DB::only_reads);
    }

    /// The connection is lost, whatever its holder goes on to do.
    pub(crate) fn release(&mut self) {
        self.tracker.gone(CloseReason::Broken);
        self.slot.release();
    }
}

/// Counts a session that has no place any more and is still in somebody's hands.
struct Orphan(Arc<AtomicUsize>);

impl Orphan {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
