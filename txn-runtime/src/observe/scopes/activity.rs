//! What goes on in a session, noted where anybody can read it.

use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};

use tokio::time::Instant;

use super::registry::{Scopes, Seen, lock};
use crate::engine::clock::{self, ClockHold};
use crate::model::location::Location;
use crate::model::open_scope::{OpenScope, ScopeState};
use crate::model::request::Need;

/// Made once per connection, and kept with it in the pool.
///
/// Written by whoever has the session, so that a plain store is enough; read by anybody.
#[derive(Debug)]
pub(crate) struct Activity {
    session: NonZeroU64,
    state: AtomicU8,
    statements: AtomicU64,
    held: Mutex<Held>,
    /// That it is listed in.
    scopes: Weak<Scopes>,
    /// tokio's clock stood still when it was opened, as in some tests.
    paused: bool,
}

#[derive(Debug, Default)]
struct Held {
    by: Option<Holding>,
    /// The sandbox that has lent the session.
    around: Option<Holding>,
}

/// By whom a session is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    pub(super) name: &'static str,
    pub(super) location: Option<Location>,
    pub(crate) since: Instant,
    /// To write.
    pub(crate) has_turn: bool,
    /// To be reported if it is open for too long, and was not yet.
    pub(crate) reportable: bool,
}

impl Holding {
    pub(crate) fn new(need: &Need, has_turn: bool) -> Self {
        Self {
            name: need.scope,
            location: need.location,
            since: Instant::now(),
            has_turn,
            reportable: need.transaction,
        }
    }

    pub(super) fn is_same(&self, other: Option<Self>) -> bool {
        other.is_some_and(|other| other.since == self.since && other.name == self.name)
    }

    /// Whether to report it now; that is done once.
    pub(super) fn is_overdue(&mut self, overdue: Option<Instant>) -> bool {
        let overdue = self.reportable && overdue.is_some_and(|since| self.since <= since);
        self.reportable &= !overdue;
        overdue
    }

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

impl Activity {
    pub(super) fn new(session: NonZeroU64, scopes: Weak<Scopes>) -> Self {
        Self {
            session,
            state: AtomicU8::new(ScopeState::Idle as u8),
            statements: AtomicU64::new(0),
            held: Mutex::default(),
            scopes,
            paused: clock::is_paused(),
        }
    }

    pub(crate) fn session(&self) -> NonZeroU64 {
        self.session
    }

    pub(crate) fn open(&self, by: Holding) {
        let mut held = lock(&self.held);
        held.around = held.by.replace(by);
        let begins = by.reportable;
        self.restart(if begins {
            ScopeState::Beginning
        } else {
            ScopeState::Idle
        });
    }

    pub(crate) fn close(&self) {
        let mut held = lock(&self.held);
        held.by = held.around.take();
        self.restart(ScopeState::Idle);
    }

    fn restart(&self, state: ScopeState) {
        self.state.store(state as u8, Relaxed);
        self.statements.store(0, Relaxed);
    }

    /// From now on it does this. What is being settled goes on to be.
    pub(crate) fn enter(&self, state: ScopeState) {
        if self.state.load(Relaxed) != ScopeState::Settling as u8 {
            self.state.store(state as u8, Relaxed);
        }
    }

    /// The body waits for the database until the guard is dropped.
    pub(crate) fn busy(&self) -> Busy<'_> {
        if self.state.load(Relaxed) != ScopeState::Idle as u8 {
            return Busy::new(self, false);
        }
        self.state.store(ScopeState::Running as u8, Relaxed);
        Busy::new(self, true)
    }

    pub(crate) fn count_statement(&self) {
        let statements = self.statements.load(Relaxed) + 1;
        self.statements.store(statements, Relaxed);
    }

    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Relaxed)
    }

    pub(crate) fn holding(&self) -> Option<Holding> {
        lock(&self.held).by
    }

    /// Of the scope that has the session.
    pub(crate) fn location(&self) -> Option<Location> {
        self.holding()?.location
    }

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

/// A statement is on its way.
#[derive(Debug)]
pub(crate) struct Busy<'a> {
    activity: &'a Activity,
    /// It is the body's, which goes on when it is over.
    of_body: bool,
    /// While the server is waited for.
    clock_hold: Option<Box<ClockHold>>,
}

impl<'a> Busy<'a> {
    fn new(activity: &'a Activity, of_body: bool) -> Self {
        Self {
            activity,
            of_body,
            clock_hold: None,
        }
    }

    /// Notes whether the server is being waited for. Meanwhile a clock that is paused stays as it is.
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

/// The activity of a session that is open.
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
