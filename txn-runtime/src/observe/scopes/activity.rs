//! What a session is doing, noted where an operator's task can read it.

use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};

use tokio::time::Instant;

use super::{Scopes, Seen, lock};
use crate::engine::clock::{self, ClockHold};
use crate::model::location::Location;
use crate::model::open_scope::{OpenScope, ScopeState};
use crate::model::request::Need;

/// The activity of a session. It is made once per connection, and kept with it in the pool.
///
/// Only the task that has the session writes, so that a load and a store make an update, and
/// nothing is ever lost between them; any task may read. `state` and `statements` are for a person
/// to look at and guard no other memory, so that all orderings are relaxed. Who holds the session
/// is behind a mutex, because it does not fit into an atomic; it is locked when a scope opens and
/// when it closes.
///
/// The scope reports each change of its state, in the order that [`ScopeState`] describes. Only
/// [`ScopeState::Settling`] is not left again before the holder changes, whatever the cleanup does.
#[derive(Debug)]
pub(crate) struct Activity {
    /// The id that the session has on its server.
    session: NonZeroU64,
    /// A [`ScopeState`] by its number.
    state: AtomicU8,
    /// How many statements the scope has sent.
    statements: AtomicU64,
    /// The session takes a place in the pool. It has none once its connection is lost.
    has_place: AtomicBool,
    /// The holder of the session.
    held: Mutex<Held>,
    /// The list that it is in, to leave it on drop.
    scopes: Weak<Scopes>,
    /// tokio's clock was paused when the session was opened, as in some tests.
    paused: bool,
}

/// The holder of a session.
#[derive(Debug, Default)]
struct Held {
    /// The holder; `None` while the session is in the pool.
    by: Option<Holding>,
    /// The sandbox that has lent the session to that holder, and gets it back from it.
    outer: Option<Holding>,
}

/// A scope, or a caller in autocommit mode, that holds a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    /// The name of the scope.
    pub(super) name: &'static str,
    /// The place of the scope in the source.
    pub(super) location: Option<Location>,
    /// Since when it holds the session.
    pub(crate) since: Instant,
    /// It holds the turn to write as well.
    pub(crate) has_turn: bool,
    /// It is to be reported if it stays open for too long, and was not reported yet.
    pub(crate) reportable: bool,
}

impl Holding {
    /// The caller with this need holds a session from now on.
    pub(crate) fn new(need: &Need, has_turn: bool) -> Self {
        Self {
            name: need.scope,
            location: need.location,
            since: Instant::now(),
            has_turn,
            reportable: need.transaction,
        }
    }

    /// Returns whether both are the same scope: they have one name, and hold their session since
    /// the same instant.
    pub(super) fn is_same(&self, other: Option<Self>) -> bool {
        other.is_some_and(|other| other.since == self.since && other.name == self.name)
    }

    /// Returns whether the scope has been open since `overdue` or longer and is to be reported now.
    /// That is true only once.
    pub(super) fn is_overdue(&mut self, overdue: Option<Instant>) -> bool {
        let overdue = self.reportable && overdue.is_some_and(|since| self.since <= since);
        self.reportable &= !overdue;
        overdue
    }

    /// The scope as it is shown.
    pub(super) fn seen(
        self,
        state: ScopeState,
        session: Option<u64>,
        statements: u64,
    ) -> OpenScope {
        OpenScope {
            name: self.name,
            location: self.location,
            age: self.since.elapsed(),
            state,
            session,
            statements,
            waits_for: None,
            waits_on: Vec::new(),
        }
    }
}

/// A scope that a task is in.
#[derive(Debug)]
pub(crate) struct OfTask {
    /// The session that it holds: see [`Activity::id`].
    pub(crate) session: NonZeroUsize,
    /// The name of the scope.
    pub(crate) name: &'static str,
    /// It holds the turn to write as well.
    pub(crate) has_turn: bool,
    /// The session belongs to a sandbox, which has lent it to the scope.
    pub(crate) is_lent: bool,
    /// The session takes a place in the pool: its connection is not lost.
    pub(crate) has_place: bool,
}

impl Activity {
    /// The activity of a session that was opened just now, and that nobody holds.
    pub(super) fn new(session: NonZeroU64, scopes: Weak<Scopes>) -> Self {
        Self {
            session,
            state: AtomicU8::new(ScopeState::Idle as u8),
            statements: AtomicU64::new(0),
            has_place: AtomicBool::new(true),
            held: Mutex::default(),
            scopes,
            paused: clock::is_paused(),
        }
    }

    /// The id that the session has on its server.
    pub(crate) fn session(&self) -> NonZeroU64 {
        self.session
    }

    /// Returns a number that no other session of this process has as long as this one is open.
    pub(crate) fn id(&self) -> NonZeroUsize {
        NonNull::from(self).addr()
    }

    /// The session has this holder from now on. The holder before, if there is one, is a sandbox.
    pub(crate) fn open(&self, by: Holding) {
        let mut held = lock(&self.held);
        held.outer = held.by.replace(by);
        let begins = by.reportable;
        self.restart(if begins {
            ScopeState::Beginning
        } else {
            ScopeState::Idle
        });
    }

    /// The holder gives the session back, to the sandbox or to the pool.
    pub(crate) fn close(&self) {
        let mut held = lock(&self.held);
        held.by = held.outer.take();
        self.restart(ScopeState::Idle);
    }

    /// Sets what counts from when the holder changes. Called with the lock held, so that a reader
    /// does not see a new holder with old figures.
    fn restart(&self, state: ScopeState) {
        self.state.store(state as u8, Relaxed);
        self.statements.store(0, Relaxed);
    }

    /// The scope does this from now on. A session that is settling stays so until it is closed.
    pub(crate) fn enter(&self, state: ScopeState) {
        if self.state.load(Relaxed) != ScopeState::Settling as u8 {
            self.state.store(state as u8, Relaxed);
        }
    }

    /// A statement is in flight until the guard is dropped. A guard inside of another one, or
    /// outside of a body, changes nothing.
    pub(crate) fn busy(&self) -> Busy<'_> {
        if self.state.load(Relaxed) != ScopeState::Idle as u8 {
            return Busy::new(self, false);
        }
        self.state.store(ScopeState::Running as u8, Relaxed);
        Busy::new(self, true)
    }

    /// The connection is lost, and somebody else may have the place of the session.
    pub(crate) fn loses_place(&self) {
        self.has_place.store(false, Relaxed);
    }

    /// Returns the scope that holds the session, for the task that is in it.
    pub(super) fn of_task(&self) -> Option<OfTask> {
        let held = lock(&self.held);
        let by = held.by?;
        Some(OfTask {
            session: self.id(),
            name: by.name,
            has_turn: by.has_turn,
            is_lent: held.outer.is_some(),
            has_place: self.has_place.load(Relaxed),
        })
    }

    /// Counts a statement of the scope.
    pub(crate) fn count_statement(&self) {
        let statements = self.statements.load(Relaxed) + 1;
        self.statements.store(statements, Relaxed);
    }

    /// Returns how many statements the scope has sent.
    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Relaxed)
    }

    /// Returns who holds the session.
    pub(crate) fn holding(&self) -> Option<Holding> {
        lock(&self.held).by
    }

    /// Returns where the scope that holds the session is in the source.
    pub(crate) fn location(&self) -> Option<Location> {
        self.holding()?.location
    }

    /// The scope that holds the session, if there is one. Marks it as reported if it is overdue.
    pub(super) fn look(&self, overdue: Option<Instant>) -> Option<Seen> {
        let mut held = lock(&self.held);
        let holding = held.by.as_mut()?;
        let overdue = holding.is_overdue(overdue);
        let state = ScopeState::of(self.state.load(Relaxed));
        Some(Seen {
            scope: holding.seen(state, Some(self.session.get()), self.statements()),
            holding: Some(*holding),
            waiter: None,
            overdue,
        })
    }
}

/// A guard for a statement in flight. Its drop says that the body goes on.
#[derive(Debug)]
pub(crate) struct Busy<'a> {
    /// The activity of the session that the statement runs on.
    activity: &'a Activity,
    /// The statement is one of the body, to which the session returns on drop. Otherwise the state
    /// is not this guard's to change.
    of_body: bool,
    /// Keeps a paused clock where it is while the server is being waited for.
    // Boxed: see the head of scope.rs
    clock_hold: Option<Box<ClockHold>>,
}

impl<'a> Busy<'a> {
    /// A guard that does not wait for the server yet.
    fn new(activity: &'a Activity, of_body: bool) -> Self {
        Self {
            activity,
            of_body,
            clock_hold: None,
        }
    }

    /// Notes whether the server is being waited for. Meanwhile a paused clock stays where it is.
    #[inline(always)]
    pub(crate) fn waits(&mut self, for_server: bool) {
        if self.activity.paused {
            self.clock_hold = for_server.then(|| Box::new(ClockHold::new()));
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if self.of_body {
            let state = &self.activity.state;
            state.store(ScopeState::Idle as u8, Relaxed);
        }
    }
}

/// The activity of an open session. Its drop takes the session off the list.
#[derive(Debug)]
pub(crate) struct Registered(pub(super) Arc<Activity>);

impl Deref for Registered {
    type Target = Activity;

    fn deref(&self) -> &Activity {
        &self.0
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(scopes) = self.0.scopes.upgrade() {
            scopes.forget(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(scope: &'static str, transaction: bool) -> Need {
        Need {
            scope,
            transaction,
            ..Need::AUTOCOMMIT
        }
    }

    fn state(activity: &Activity) -> Option<ScopeState> {
        activity.look(None).map(|seen| seen.scope.state)
    }

    #[test]
    fn a_statement_is_seen_until_its_answer_was_read_and_settling_until_the_end() {
        let activity = Activity::new(NonZeroU64::MIN, Weak::new());
        assert_eq!(state(&activity), None);
        activity.open(Holding::new(&need("f", true), false));
        assert_eq!(state(&activity), Some(ScopeState::Beginning));
        drop(activity.busy());
        assert_eq!(state(&activity), Some(ScopeState::Beginning));
        activity.enter(ScopeState::Idle);
        let busy = activity.busy();
        assert_eq!(state(&activity), Some(ScopeState::Running));
        drop(activity.busy());
        assert_eq!(state(&activity), Some(ScopeState::Running));
        drop(busy);
        assert_eq!(state(&activity), Some(ScopeState::Idle));
        activity.enter(ScopeState::Settling);
        activity.enter(ScopeState::RollingBack);
        assert_eq!(state(&activity), Some(ScopeState::Settling));
        activity.close();
        assert_eq!(state(&activity), None);
    }

    #[test]
    fn a_scope_inside_of_a_sandbox_is_seen_in_its_place() {
        let activity = Activity::new(NonZeroU64::MIN, Weak::new());
        activity.open(Holding::new(&need("sandbox", true), false));
        activity.count_statement();
        activity.open(Holding::new(&need("inside", true), false));
        assert_eq!(activity.holding().unwrap().name, "inside");
        assert_eq!(activity.statements(), 0);
        activity.close();
        assert_eq!(activity.holding().unwrap().name, "sandbox");
        activity.close();
        assert!(activity.holding().is_none());
    }

    #[test]
    fn what_is_overdue_is_reported_once_and_a_session_in_autocommit_mode_never() {
        let activity = Activity::new(NonZeroU64::MIN, Weak::new());
        for transaction in [true, false, true] {
            activity.open(Holding::new(&need("f", transaction), false));
            let now = Some(Instant::now());
            let reports = [None, now, now].map(|due| activity.look(due).unwrap().overdue);
            assert_eq!(reports, [false, transaction, false]);
            activity.close();
        }
    }
}
