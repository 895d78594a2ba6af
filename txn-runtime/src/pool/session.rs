//! A session: one physical connection that is checked out of the pool.
//!
//! Invariant 1: a session is in the pool only if its last protocol exchange completed and it is
//! outside a transaction. Everything that could break it is tracked in [`State`], and the `Drop` of
//! [`Session`] is the only way back.
//!
//! Invariant 2: the guard exists before the statement is sent and is defused after its answer was
//! read, never the other way. The guard is the [`Wire`]: `Busy` is written before an operation is
//! first polled.
//!
//! # The life of a session
//!
//! It is checked out by `acquire`, used by one scope or user at a time, and dropped. The drop
//! decides, without waiting, what follows:
//!
//! ```text
//!   dropped ──► clean ──► nothing to do between two users ──► back in the pool, at once
//!      │          ├─────► of a sandbox ─────────────────────► back to the sandbox
//!      │          ├─────► refused a write as read-only ─────► closed
//!      │          └─────► after_release, reset ─────────────► done in the background, then dropped
//!      ├──► broken, nothing lingers on the server ──────────► closed
//!      ├──► dropped while it settled ───────────────────────► closed
//!      └──► anything else ──────────────────────────────────► settled in the background, then
//!                                                             dropped
//! ```
//!
//! So a session may be dropped more than once on its way back, each time by another owner. Its slot
//! and its lease move along, and end with the last of these drops.

use std::fmt;
use std::time::{Duration, Instant};

use tokio_util::task::task_tracker::TaskTrackerToken;

mod pooled;
mod queries;
mod release;
mod slot;
mod upkeep;

pub(crate) use self::pooled::Pooled;
pub(crate) use self::slot::{Hold, Slot};
pub(crate) use self::upkeep::Epochs;
use crate::engine::Engine;
use crate::model::conflicts::ConflictHistory;
use crate::model::labels::CloseReason;
use crate::model::open_scope::ScopeState;
use crate::model::reset::Left;
use crate::model::transaction::{State, Wire};
use crate::model::untracked::Untracked;
use crate::observe::kept::Timestamp;
use crate::observe::scopes::{Activity, Busy};
use crate::observe::trace::Trace;
use crate::pool::hooks::Hooks;
use crate::pool::{Bounds, Db, settle};

/// How long an idle session is trusted. After a longer time its server may be gone unnoticed.
const TRUSTED: Duration = Duration::from_secs(1);
/// Only the drop and the closing of a session take its connection, and nobody has it after that.
const TAKEN: &str = "only dropping takes the session";

/// A session in autocommit mode, from [`Db::session`]; `&mut Session` is a [`sqlx::Executor`].
///
/// It is meant for work that has to run on one connection but not in a transaction: session
/// settings, advisory locks, `LISTEN`, and statements that an engine refuses inside a transaction.
/// Settings stay when it goes back to the pool, unless
/// [`DbBuilder::reset`](crate::DbBuilder::reset) says otherwise.
///
/// # Cancel safety
///
/// Dropping it is always safe. If an operation was in flight, or [`connection`](Self::connection)
/// was used, the session is brought to a known state in the background, or closed, before anybody
/// else gets it.
pub struct Session<DB: Engine> {
    /// The connection, and what stays with it. `None` only while this is being dropped or closed.
    pooled: Option<Box<Pooled<DB>>>,
    /// The place in the pool. It is freed early if the connection breaks.
    slot: Slot<DB>,
    /// The SQL that a transaction on the session begins and ends with.
    bounds: Bounds,
    /// The state of the wire and of the transaction. It is known here and nowhere else.
    pub(crate) state: State,
    /// The hooks of the transaction that is open.
    pub(crate) hooks: Hooks,
    /// The traces that the user may have left on the session, if these are to be cleaned up.
    pub(crate) left: Left,
    /// The span and figures of the root scope whose body runs on the session.
    pub(crate) trace: Trace,
    /// The handle that the session goes back to. For the scope of a sandbox, it is that of the
    /// sandbox.
    db: Db<DB>,
    /// [`Db::close`] waits for it. It is held until the session is idle or closed.
    lease: TaskTrackerToken,
}

impl<DB: Engine> Session<DB> {
    /// Wraps what was checked out of the pool.
    pub(crate) fn new(
        mut pooled: Box<Pooled<DB>>,
        slot: Slot<DB>,
        db: Db<DB>,
        lease: TaskTrackerToken,
    ) -> Self {
        pooled.tracker.taken();
        Self {
            pooled: Some(pooled),
            slot,
            bounds: Bounds::of(&db),
            state: State::default(),
            hooks: Hooks::default(),
            left: Left::default(),
            trace: Trace::none(),
            db,
            lease,
        }
    }

    /// Returns the handle that this session came from.
    #[must_use]
    pub fn db(&self) -> &Db<DB> {
        &self.db
    }

    /// Returns the raw sqlx connection, for what no executor offers: COPY, advisory locks, progress
    /// handlers.
    ///
    /// The runtime does not see what is done to it. So when the session is given back, the server
    /// is asked whether it is inside of a transaction, which costs a round trip in the background.
    /// If it is, the transaction is rolled back with a warning.
    pub fn connection(&mut self) -> &mut DB::Connection {
        self.forget_limits();
        self.left = Left::Seen;
        self.state.suspects(Untracked::raw_connection());
        self.raw()
    }

    /// Returns the raw connection, for code that is known to leave the session as it is.
    pub(crate) fn raw(&mut self) -> &mut DB::Connection {
        &mut self.pooled.as_mut().expect(TAKEN).connection
    }

    /// Returns the id that the server has given to this session.
    pub(crate) fn backend(&self) -> u64 {
        self.pooled
            .as_ref()
            .map_or(0, |pooled| pooled.backend.target.id)
    }

    /// Returns the name of the server on which the session was opened. A restarted server has a new
    /// name.
    pub(crate) fn server(&self) -> Option<&str> {
        self.pooled.as_ref()?.backend.target.server.as_deref()
    }

    /// Returns true if the session was idle in the pool before, so that the server may have closed
    /// it meanwhile.
    pub(crate) fn is_reused(&self) -> bool {
        self.pooled.as_ref().is_some_and(|pooled| pooled.reused)
    }

    /// Returns true if the session is new, or was in use until a moment ago, so that its server is
    /// almost certainly there.
    pub(crate) fn is_trusted(&self) -> bool {
        let trusted = |pooled: &Pooled<DB>| !pooled.reused || pooled.is_fresh();
        !self.is_behind() && self.pooled.as_deref().is_some_and(trusted)
    }

    /// Returns true if the server, or a firewall in between, may have forgotten the session: its
    /// first request may then never be answered, so it needs a short timeout.
    pub(crate) fn is_suspect(&self) -> bool {
        DB::EMBEDDED.is_none() && !self.bounds.are_a_savepoint() && !self.is_trusted()
    }

    /// Borrows the parts that an operation needs, so that it can report to the state while it has
    /// the connection. The session is listed as busy until the last part is dropped.
    pub(crate) fn split(&mut self) -> (&mut DB::Connection, &mut State, Hold<'_, DB>, Busy<'_>) {
        let pooled = &mut **self.pooled.as_mut().expect(TAKEN);
        let busy = pooled.activity.busy();
        let hold = Hold {
            slot: &mut self.slot,
            tracker: &mut pooled.tracker,
            activity: &pooled.activity,
        };
        (&mut pooled.connection, &mut self.state, hold, busy)
    }

    /// Returns its entry in the list of open scopes.
    pub(crate) fn activity(&self) -> &Activity {
        &self.pooled.as_ref().expect(TAKEN).activity
    }

    /// Returns true if an operation was dropped in flight and the driver does not survive that.
    /// Such a session can only be closed.
    pub(crate) fn is_lost_by_a_drop(&self) -> bool {
        self.state.is_lost_by_a_drop(DB::DROPS_BREAK)
    }

    /// The session was asked whether it is in a transaction, or its answer is known in advance.
    /// Returns what had run out of sight, if that was not looked at before.
    pub(crate) fn looked_at(&mut self) -> Option<Box<Untracked>> {
        self.state.looked_at(DB::RESTORE.is_some())
    }

    /// Returns true if the session may go back without being settled.
    fn is_clean(&self) -> bool {
        let is_in_sandbox = self.bounds.are_a_savepoint();
        // The transaction of a sandbox stays open, and may be counted by the driver, until it ends.
        self.state.is_at_rest(is_in_sandbox) && (is_in_sandbox || !self.is_counted_by_the_driver())
    }

    /// Returns true if nothing but the prepared statements of a session is out of date. That begins
    /// a new epoch, and whoever takes the session next brings it up to date.
    fn is_only_stale(&mut self) -> bool {
        if self.state.wire() != Wire::Stale {
            return false;
        }
        self.note_stale();
        self.state.left_to_the_next();
        self.is_clean()
    }

    /// Returns true if the session may be closed in favour of another one. That is not so if it is
    /// all that there is of a database in memory.
    fn may_be_replaced(&self) -> bool {
        DB::session_limit(self.db.options()).is_none()
    }

    /// Takes the trace, for the end of the scope that runs on the session.
    pub(crate) fn take_trace(&mut self) -> Trace {
        self.trace.take()
    }

    /// Returns when the session was checked out of the pool.
    pub(crate) fn taken_at(&self) -> Timestamp {
        let taken = |pooled: &Pooled<DB>| pooled.tracker.taken_at();
        self.pooled.as_deref().map_or_else(Timestamp::now, taken)
    }

    /// Returns true if the session still has its slot in the pool.
    pub(crate) fn has_place(&self) -> bool {
        self.slot.is_taken()
    }

    /// Frees the slot of a session that broke while it was used. Its user may hold on to it for as
    /// long as it likes, and must not keep the pool from opening another.
    pub(crate) fn release_if_broken(&mut self) {
        if self.state.is_broken() {
            let (_, _, mut hold, _) = self.split();
            hold.release();
        }
    }

    /// Returns what statements run on, and the history of conflicts to report to, of which there is
    /// none outside of a transaction.
    pub(crate) fn watched(&mut self) -> (&mut Self, Option<&mut ConflictHistory>) {
        (self, None)
    }
}

// The way back to the pool; the head of this file has the diagram. It never waits and never fails.
impl<DB: Engine> Drop for Session<DB> {
    fn drop(&mut self) {
        if self.pooled.is_none() {
            return;
        }
        self.trace.look_at(self.state.wire());
        drop(self.take_trace());
        let clean = self.is_clean() || self.is_only_stale();
        let Some(mut pooled) = self.pooled.take() else {
            return;
        };
        if self.slot.only_reads {
            self.slot.only_reads = self.may_be_replaced();
        }
        let release = clean
            && !self.slot.only_reads
            && !self.bounds.are_a_savepoint()
            && !self.db.is_closed();
        let work = release && self.has_release_work(&mut pooled);
        if release && !work {
            let now = Instant::now();
            pooled.returned = now;
            pooled.reused = true;
            pooled.tracker.returned(now);
            pooled.activity.close();
            return std::mem::take(&mut self.slot).fill(pooled);
        }
        let mut session = self.moved(pooled, self.db.clone());
        if clean && let Some(lent) = self.db.sandbox_session() {
            return lent.take_back(session);
        }
        if clean && session.slot.only_reads {
            return session.discard_because(CloseReason::ReadOnly);
        }
        // On a broken connection there is nothing to settle, unless hooks are to be run or the
        // server goes on with a query that is to be ended.
        let hopeless = session.state.is_broken() && session.hooks.is_empty() && !session.lingers();
        if session.state.was_settled() || hopeless {
            session.discard();
        } else {
            session.state.is_settling();
            session.slot.settles();
            if session.state.is_broken() {
                session.slot.release();
            }
            session.activity().enter(ScopeState::Settling);
            match work {
                true => settle::spawn_release(session),
                false => settle::spawn(session),
            }
        }
    }
}

impl<DB: Engine> fmt::Debug for Session<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("engine", &DB::SYSTEM)
            .field("backend", &self.backend())
            .field("wire", &self.state.wire())
            .finish_non_exhaustive()
    }
}
