//! The slot of a session: its place in the pool, and the permits that it was checked out with.
//!
//! deadpool keeps one object for each slot in use. Ours is a shell around the session: full while
//! the session is idle, empty while it is checked out. So the slot can be freed before the session
//! is: if the connection breaks in the middle of a body, the pool may open another at once, however
//! long that body goes on.
//!
//! ```text
//!   empty(object) ──► taken ──► fill      the session is idle again
//!                       │
//!                       ├─────► release   the slot is free, the session is orphaned
//!                       └─────► drop      the slot is free, and so are the permits
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool::managed::Object;

use super::pooled::{Manager, Pooled};
use crate::engine::Engine;
use crate::model::labels::CloseReason;
use crate::observe::tracker::SessionTracker;
use crate::pool::Permits;

/// The slot of one session that is checked out. Dropping it frees the slot, so that the pool may
/// open another session.
pub(crate) struct Slot<DB: Engine> {
    /// The empty shell that occupies the slot. `None` once the slot is free.
    shell: Option<Object<Manager<DB>>>,
    /// The permits of the session, if its pool or engine has any.
    pub(super) permits: Option<Box<Permits>>,
    /// Counts the session as orphaned: its slot is free, and it is still in somebody's hands.
    orphaned: Option<Orphan>,
    /// A cleanup has the session. It is counted as settling, and never as orphaned again.
    settling: bool,
    /// The server refused a write because this session is read-only. Another session may not be, so
    /// this one is closed instead of going back.
    pub(super) only_reads: bool,
}

impl<DB: Engine> Slot<DB> {
    /// Takes the session out of its shell, which then occupies the slot.
    pub(super) fn empty(
        mut shell: Object<Manager<DB>>,
        permits: Option<Box<Permits>>,
    ) -> (Option<Box<Pooled<DB>>>, Self) {
        let pooled = shell.take();
        let slot = Self {
            shell: Some(shell),
            permits,
            orphaned: None,
            settling: false,
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

    /// Returns true until the slot is freed.
    pub(super) fn is_taken(&self) -> bool {
        self.shell.is_some()
    }

    /// Frees the slot, because its session is broken. The holder may keep the session; it counts as
    /// orphaned until it is dropped or settles. The permit of a sandbox stays with it.
    pub(super) fn release(&mut self) {
        let Some(shell) = self.shell.take() else {
            return;
        };
        // The orphan is counted before the slot is free. Otherwise `status` could count both this
        // session and the one that takes its slot as in use.
        if !self.settling {
            let count = |pool| Orphan::new(Manager::orphaned(&pool));
            self.orphaned = Object::pool(&shell).map(count);
        }
        drop(Object::take(shell));
        if let Some(permits) = &mut self.permits {
            permits.release();
        }
    }

    /// The session begins to settle, and is counted as settling instead of orphaned from now on.
    pub(super) fn settles(&mut self) {
        self.settling = true;
        self.orphaned = None;
    }
}

impl<DB: Engine> Default for Slot<DB> {
    fn default() -> Self {
        Self {
            shell: None,
            permits: None,
            orphaned: None,
            settling: false,
            only_reads: false,
        }
    }
}

/// deadpool would put an object that is dropped back as idle, so the shell is detached first.
impl<DB: Engine> Drop for Slot<DB> {
    fn drop(&mut self) {
        if let Some(shell) = self.shell.take() {
            drop(Object::take(shell));
        }
    }
}

/// The parts of a session that a running statement reports to when it is refused or the connection
/// breaks. They are borrowed apart from the connection, which the statement itself has borrowed.
pub(crate) struct Hold<'a, DB: Engine> {
    /// Freed if the connection breaks.
    pub(super) slot: &'a mut Slot<DB>,
    /// Told that the session is gone.
    pub(super) tracker: &'a mut SessionTracker,
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
        self.slot.release();
    }

    /// The connection is lost on a statement of the runtime: frees the slot. The runtime closes
    /// the session, and knows better for what reason.
    pub(crate) fn release_unexplained(&mut self) {
        self.slot.release();
    }
}

/// Counts a session that has no slot any more and is still in somebody's hands, until it is
/// dropped. The count is only displayed, so `Relaxed` is enough.
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
