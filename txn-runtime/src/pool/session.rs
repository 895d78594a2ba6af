//! A session: one physical connection, checked out of the pool.
//!
//! Invariant 1: a session is in the pool only if its last protocol exchange completed and it is outside a
//! transaction. Everything that could break it is tracked here, and [`Session`]'s `Drop` is the only way back.
//!
//! Invariant 2: the guard exists before the statement is sent and is defused after its answer was read, never the
//! other way. The guard is the [`Wire`]: `Busy` is written before an operation is first polled.

use std::fmt;
use std::time::{Duration, Instant};

use deadpool::managed::Object;
use tokio_util::task::task_tracker::TaskTrackerToken;

mod closing;
mod epochs;
mod lent;
mod pooled;
mod queries;
mod release;
mod slot;
mod upkeep;

pub(crate) use self::epochs::Epochs;
pub(crate) use self::pooled::{Manager, Pooled};
pub(crate) use self::slot::Hold;
use self::slot::Slot;
use crate::engine::{Engine, Place, statement};
use crate::model::conflicts::ConflictHistory;
use crate::model::error::Error;
use crate::model::labels::CloseReason;
use crate::model::open_scope::ScopeState;
use crate::model::reset::Left;
use crate::model::transaction::{State, Wire};
use crate::model::untracked::Untracked;
use crate::observe::metrics::Timestamp;
use crate::observe::scopes::{Activity, Busy};
use crate::observe::trace::Trace;
use crate::pool::hooks::Hooks;
use crate::pool::{Bounds, Db, Permits, settle};

/// After this much idleness a server may be gone without a word.
const TRUSTED: Duration = Duration::from_secs(1);
const TAKEN: &str = "only dropping takes the session";

/// A session in autocommit mode, from [`Db::session`]; `&mut Session` is a [`sqlx::Executor`].
///
/// For what must run on one connection but not in a transaction: session settings, advisory locks, `LISTEN`,
/// statements that an engine refuses inside a transaction. What is set on it stays set when it goes back to the pool, unless
/// [`DbBuilder::reset`](crate::DbBuilder::reset) says otherwise.
///
/// # Cancel safety
///
/// Dropping it is always safe. If an operation was in flight, or [`connection`](Self::connection) was used, the
/// session is brought to a known state in the background, or closed, before anybody else gets it.
pub struct Session<DB: Engine> {
    /// `None` only while dropping.
    pooled: Option<Box<Pooled<DB>>>,
    slot: Slot<DB>,
    /// What a transaction on it begins and ends with.
    bounds: Bounds,
    /// The one place where its state is known.
    pub(crate) state: State,
    pub(crate) hooks: Hooks,
    /// What its user has left on it, where that matters.
    pub(crate) left: Left,
    /// Of the root scope whose body runs on it.
    pub(crate) trace: Trace,
    db: Db<DB>,
    lease: TaskTrackerToken,
}

impl<DB: Engine> Session<DB> {
    pub(crate) fn new(
        object: Object<Manager<DB>>,
        db: Db<DB>,
        lease: TaskTrackerToken,
        permits: Option<Box<Permits>>,
    ) -> Self {
        let (mut pooled, slot) = Slot::empty(object, permits);
        if let Some(pooled) = &mut pooled {
            pooled.tracker.taken();
        }
        Self {
            pooled,
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

    /// The handle that this session came from.
    #[must_use]
    pub fn db(&self) -> &Db<DB> {
        &self.db
    }

    /// The raw sqlx connection, for what no executor offers: COPY, advisory locks, progress handlers.
    ///
    /// What is done to it is out of sight: when the session is given back, it is asked whether it is inside of a
    /// transaction (rolled back then, with a warning), which costs a round trip in the background.
    pub fn connection(&mut self) -> &mut DB::Connection {
        self.forget_limits();
        self.left = Left::Seen;
        self.state.suspects(Untracked::raw_connection());
        self.raw()
    }

    /// The raw connection, for code that is known to leave the session as it is.
    pub(crate) fn raw(&mut self) -> &mut DB::Connection {
        &mut self.pooled.as_mut().expect(TAKEN).connection
    }

    /// What the server calls this session.
    pub(crate) fn backend(&self) -> u64 {
        self.pooled
            .as_ref()
            .map_or(0, |pooled| pooled.backend.target.id)
    }

    /// The run of the server that it was opened in.
    pub(crate) fn server(&self) -> Option<&str> {
        self.pooled.as_ref()?.backend.target.server.as_deref()
    }

    /// It lay in the pool before, so that the server may have closed it meanwhile.
    pub(crate) fn is_reused(&self) -> bool {
        self.pooled.as_ref().is_some_and(|pooled| pooled.reused)
    }

    /// It is new, or was in use until a moment ago: its server is as good as known to be there.
    pub(crate) fn is_trusted(&self) -> bool {
        let trusted = |pooled: &Pooled<DB>| !pooled.reused || pooled.is_fresh();
        !self.is_behind() && self.pooled.as_deref().is_some_and(trusted)
    }

    /// Its server, or what is between, may have forgotten it: what it is asked first may get no answer, ever.
    pub(crate) fn is_suspect(&self) -> bool {
        DB::EMBEDDED.is_none() && !self.bounds.are_a_savepoint() && !self.is_trusted()
    }

    /// The guard says that an operation is in flight.
    pub(crate) fn split(&mut self) -> (&mut DB::Connection, &mut State, Hold<'_, DB>, Busy<'_>) {
        let pooled = &mut **self.pooled.as_mut().expect(TAKEN);
        let busy = pooled.activity.busy();
        let hold = Hold {
            slot: &mut self.slot,
            tracker: &mut pooled.tracker,
        };
        (&mut pooled.connection, &mut self.state, hold, busy)
    }

    /// What goes on in it, for others to see.
    pub(crate) fn activity(&self) -> &Activity {
        &self.pooled.as_ref().expect(TAKEN).activity
    }

    /// An operation was dropped on it, and the driver does not survive that: closing it is what there is to do.
    pub(crate) fn is_lost_by_a_drop(&self) -> bool {
        self.state.is_lost_by_a_drop(DB::DROPS_BREAK)
    }

    fn is_clean(&self) -> bool {
        let is_in_sandbox = self.bounds.are_a_savepoint();
        // What belongs to a sandbox is left as it is until that ends.
        self.state.is_at_rest(is_in_sandbox) && (is_in_sandbox || !self.is_counted_by_the_driver())
    }

    /// Then who takes it next sees to that.
    fn is_only_stale(&mut self) -> bool {
        if self.state.wire() != Wire::Stale {
            return false;
        }
        self.note_stale();
        self.state.left_to_the_next();
        self.is_clean()
    }

    /// Another session might do what this one has refused: it is not the whole of a database in memory.
    fn may_be_replaced(&self) -> bool {
        DB::session_limit(self.db.options()).is_none()
    }

    /// For the end of the scope that is on it.
    pub(crate) fn take_trace(&mut self) -> Trace {
        self.trace.take()
    }

    /// When it came out of the pool.
    pub(crate) fn taken_at(&self) -> Timestamp {
        let taken = |pooled: &Pooled<DB>| pooled.tracker.taken_at();
        self.pooled.as_deref().map_or_else(Timestamp::now, taken)
    }

    /// It counts among the sessions of the pool.
    pub(crate) fn has_place(&self) -> bool {
        self.slot.is_taken()
    }

    /// Frees the place of a session that broke under its user, who may go on to hold it for as long as he likes.
    pub(crate) fn release_if_broken(&mut self) {
        if self.state.is_broken() {
            let (_, _, mut hold, _) = self.split();
            hold.release();
        }
    }

    /// Brings the session to where the next statement may be sent, or says why this one may not.
    pub(crate) async fn ready(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let reach = statement::check::<DB>(sql, Place::Session, self.db.options())
            .map_err(|why| Error::refused("a session in autocommit mode", why))?;
        if !self.state.is_idle() {
            let drained = self.read_on().await;
            self.release_if_broken();
            drained?;
        }
        self.look_at_schema(sql).await?;
        if statement::sets_limits::<DB>(sql) {
            self.forget_limits();
        }
        if let Some(untracked) = Untracked::statement(sql, reach) {
            self.state.suspects(untracked);
        }
        self.look_for_leftovers(sql);
        self.activity().count_statement();
        Ok(())
    }

    pub(crate) fn watched(&mut self) -> (&mut Self, Option<&mut ConflictHistory>) {
        (self, None)
    }
}

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
        let work = release && self.has_work_before_others(&mut pooled);
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
        // There is nothing to settle on a connection that is of no more use.
        let hopeless = session.state.is_broken() && session.hooks.is_empty() && !session.lingers();
        if session.state.was_settled() || hopeless {
            session.discard();
        } else {
            session.state.is_settling();
            session.slot.settles();
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
