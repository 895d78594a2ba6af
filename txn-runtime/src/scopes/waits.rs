//! Who waits for whom.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::timeout;

use super::outside::Waiter;
use super::registry::Seen;
use super::{Holder, OpenScope, WaitsFor};
use crate::Db;
use crate::cancel::Cancel;
use crate::engine::Engine;

/// What the server is given to say who waits for whose lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says of those that wait for a session what they wait for, and on whom.
pub(super) fn for_sessions(seen: &mut [Seen]) {
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
    pub(super) fn has(&self, turn: bool) -> bool {
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

impl Holder {
    fn of(scope: &OpenScope) -> Self {
        Self {
            name: Some(scope.name),
            location: scope.location,
            session: scope.session,
        }
    }

    fn stranger(session: u64) -> Self {
        Self {
            name: None,
            location: None,
            session: Some(session),
        }
    }
}

impl<DB: Engine> Db<DB> {
    /// Says of those that wait for the server whose lock it is, if it is one.
    pub(super) async fn see_locks(&self, seen: &mut [Seen]) {
        let asks = |seen: &&Seen| seen.scope.state.asks_server();
        let sessions = seen.iter().filter(asks);
        let sessions = sessions.filter_map(|seen| seen.scope.session);
        let sessions: Vec<_> = sessions.map(|id| id.to_string()).collect();
        let blocked = self.ask_who_blocks(&sessions.join(",")).await;
        let known: Vec<_> = seen.iter().map(|seen| Holder::of(&seen.scope)).collect();
        for (waits, on) in blocked {
            let known = known.iter().find(|holder| holder.session == Some(on));
            let holder = known.copied().unwrap_or(Holder::stranger(on));
            let waits = |seen: &&mut Seen| seen.scope.session == Some(waits);
            if let Some(seen) = seen.iter_mut().find(waits)
                && !seen.scope.waits_on.contains(&holder)
            {
                seen.scope.waits_for = Some(WaitsFor::Lock);
                seen.scope.waits_on.push(holder);
            }
        }
    }

    /// Pairs of sessions, the first of which waits for a lock of the second.
    async fn ask_who_blocks(&self, sessions: &str) -> Vec<(u64, u64)> {
        let mut blocked = Vec::new();
        let hidden = self.cancel() == Cancel::Close; // behind a pooler the ids are not those of the server
        let question = match sessions {
            "" => None,
            _ if hidden => None,
            _ => DB::ask_who_blocks(sessions),
        };
        let Some(question) = question else {
            return blocked;
        };
        let answer = self.ask(&question, |row| blocked.extend(DB::blocked(row)));
        if let Ok(Err(error)) = timeout(PATIENCE, answer).await {
            tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "cannot ask who waits for a lock");
        }
        blocked
    }
}
