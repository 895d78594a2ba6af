//! Who waits for whom, worked out from what was seen of all scopes. Locks on the server are not
//! known here: the server is asked about them elsewhere.

use std::num::NonZeroU64;

use tokio::time::Instant;

use super::Seen;
use crate::model::open_scope::{Holder, OpenScope, ScopeState, WaitsFor};
use crate::model::request::{Need, WaitStage, WaitingCaller};

/// A caller that waits for a session.
#[derive(Debug)]
pub(super) struct Waiter {
    need: Need,
    since: Instant,
    /// What it waits for.
    stage: WaitStage,
    /// The session of the sandbox that it is in; it can use no other.
    sandbox: Option<NonZeroU64>,
}

/// Fills in what each scope without a session waits for, and who holds that. A scope whose body
/// waits for a second session is shown as waiting too.
pub(crate) fn for_sessions(seen: &mut [Seen]) {
    let holders: Vec<_> = seen.iter().filter_map(Held::of).collect();
    // The sessions of scopes in whose bodies somebody waits for a second session.
    let mut outer = Vec::new();
    for seen in &mut *seen {
        let Some(waiter) = &seen.waiter else { continue };
        let waits_for = waits_for(waiter);
        let holding = holders.iter().filter(|held| held.has(waiter, waits_for));
        let waits_on: Vec<_> = holding.map(|held| held.holder).collect();
        if let Some(session) = waiter.need.outer.map(NonZeroU64::get) {
            outer.push((session, waits_for, waits_on.clone()));
        }
        seen.scope.waits_for = Some(waits_for);
        seen.scope.waits_on = waits_on;
    }
    for (session, waits_for, waits_on) in outer {
        let of_outer = |seen: &&mut Seen| seen.scope.session == Some(session);
        if let Some(seen) = seen.iter_mut().find(of_outer) {
            seen.scope.waits_for = Some(waits_for);
            seen.scope.waits_on = waits_on;
        }
    }
}

/// Returns what a waiting caller waits for: to be polled, its turn, a connection or a session.
fn waits_for(waiter: &Waiter) -> WaitsFor {
    match waiter.stage {
        WaitStage::Due => WaitsFor::Poll,
        WaitStage::Turn => WaitsFor::Turn,
        WaitStage::Connection => WaitsFor::Connection,
        WaitStage::Session => WaitsFor::Session,
    }
}

/// A scope that holds something that others wait for.
struct Held {
    /// The scope as it is shown to those who wait for it.
    holder: Holder,
    /// It holds a session, or nobody else can get the one that it is about to have.
    has_session: bool,
    /// It holds the turn to write.
    has_turn: bool,
}

impl Held {
    /// Returns what a scope holds. A caller that waits holds a session already if one is being
    /// opened for it, or if it could take one and is not polled.
    fn of(seen: &Seen) -> Option<Self> {
        let (has_session, has_turn) = match (&seen.waiter, seen.holding) {
            (Some(waiter), _) => seen.takes(waiter)?,
            (None, Some(holding)) => (seen.scope.session.is_some(), holding.has_turn),
            (None, None) => return None,
        };
        Some(Self {
            holder: Holder::of(&seen.scope),
            has_session,
            has_turn,
        })
    }

    /// Returns whether it holds what the waiter waits for. A waiter never waits for the scope that
    /// it is called in.
    fn has(&self, waiter: &Waiter, what: WaitsFor) -> bool {
        let is = |session: Option<NonZeroU64>| {
            session.is_some() && session.map(NonZeroU64::get) == self.holder.session
        };
        match what {
            _ if is(waiter.need.outer) => false,
            WaitsFor::Session if waiter.sandbox.is_some() => is(waiter.sandbox),
            WaitsFor::Session => self.has_session,
            WaitsFor::Turn => self.has_turn,
            WaitsFor::Connection | WaitsFor::Poll | WaitsFor::Lock => false,
        }
    }
}

impl Seen {
    /// A caller that waits for a session: for that of the sandbox that it is in, if that is given.
    pub(crate) fn waiting(
        caller: WaitingCaller,
        stage: WaitStage,
        sandbox: Option<NonZeroU64>,
    ) -> Self {
        let WaitingCaller { need, since } = caller;
        Self {
            scope: OpenScope {
                name: need.scope,
                location: need.location,
                age: since.elapsed(),
                state: ScopeState::Waiting,
                session: None,
                statements: 0,
                waits_for: None,
                waits_on: Vec::new(),
            },
            holding: None,
            waiter: Some(Waiter {
                need,
                since,
                stage,
                sandbox,
            }),
            overdue: false,
        }
    }

    /// Since when it has its session, or waits for one. By this they are sorted: their ages were
    /// measured one after the other.
    pub(crate) fn since(&self) -> Option<Instant> {
        let waits = self.waiter.as_ref().map(|waiter| waiter.since);
        waits.or(self.holding.map(|holding| holding.since))
    }

    /// Returns whether the scope holds a session, or with `turn` the turn to write.
    pub(crate) fn has(&self, turn: bool) -> bool {
        Held::of(self).is_some_and(|held| match turn {
            true => held.has_turn,
            false => held.has_session,
        })
    }

    /// Returns what a waiting caller keeps from others: whether a session, and whether the turn to
    /// write.
    fn takes(&self, waiter: &Waiter) -> Option<(bool, bool)> {
        let stage = waiter.stage;
        let has_session = matches!(stage, WaitStage::Due | WaitStage::Connection);
        let takes_turn = waiter.need.writes && stage == WaitStage::Due;
        let is_one = waiter.sandbox.is_none() && has_session;
        is_one.then_some((has_session, takes_turn))
    }
}
