//! Who waits for whom.

use std::num::NonZeroU64;

use super::registry::Seen;
use super::sessionless::Waiter;
use crate::model::open_scope::{Holder, WaitsFor};

/// Says of those that wait for a session what they wait for, and on whom.
pub(crate) fn for_sessions(seen: &mut [Seen]) {
    let holders: Vec<_> = seen.iter().filter_map(Held::of).collect();
    let mut outer = Vec::new();
    for seen in &mut *seen {
        let Some(waiter) = &seen.waiter else { continue };
        let waits_for = waits_for(waiter);
        let on = holders.iter().filter(|held| held.has(waiter, waits_for));
        let on: Vec<_> = on.map(|held| held.holder).collect();
        if let Some(session) = waiter.need.outer.map(NonZeroU64::get) {
            outer.push((session, waits_for, on.clone()));
        }
        seen.scope.waits_for = Some(waits_for);
        seen.scope.waits_on = on;
    }
    for (session, waits_for, on) in outer {
        let of_outer = |seen: &&mut Seen| seen.scope.session == Some(session);
        if let Some(seen) = seen.iter_mut().find(of_outer) {
            seen.scope.waits_for = Some(waits_for);
            seen.scope.waits_on = on;
        }
    }
}

fn waits_for(waiter: &Waiter) -> WaitsFor {
    match waiter.sandbox {
        _ if waiter.is_due() => WaitsFor::Poll,
        Some(_) => WaitsFor::Session,
        None if !waiter.has_turn() => WaitsFor::Turn,
        None if waiter.opens() => WaitsFor::Connection,
        None => WaitsFor::Session,
    }
}

/// What somebody has that others wait for.
struct Held {
    holder: Holder,
    has_session: bool,
    has_turn: bool,
}

impl Held {
    /// Also of a caller who has it as good as in his hands: one is being opened for him, or he could take it and is not polled.
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
    /// Whether it has what others wait for: a session, or the turn to write where there is one writer.
    pub(crate) fn has(&self, turn: bool) -> bool {
        Held::of(self).is_some_and(|held| match turn {
            true => held.has_turn,
            false => held.has_session,
        })
    }

    /// What a caller that waits keeps from others: a session, the turn.
    fn takes(&self, waiter: &Waiter) -> Option<(bool, bool)> {
        let (due, has_turn) = (waiter.is_due(), waiter.has_turn());
        let has_session = waiter.opens() || due && has_turn;
        // Who does not write needs none, and has been told so.
        let takes_turn = waiter.need.writes && (due || has_turn);
        let is_one = waiter.sandbox.is_none() && (has_session || takes_turn);
        is_one.then_some((has_session, takes_turn))
    }
}
