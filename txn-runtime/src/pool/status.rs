//! The figures of a pool, and its list of open scopes: what each one is doing, what it waits for,
//! and which scope holds that.
//!
//! Waits for sessions are known from the list itself. Waits for locks are only known to the server,
//! which is asked over the control connection.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Cancel, Db, Session};
use crate::engine::Engine;
use crate::model::open_scope::{Holder, OpenScope, WaitsFor};
use crate::model::request::Need;
use crate::observe::scopes::{Holding, Seen, for_sessions};
use crate::pool::gate::Breaker;

/// The state of a pool, from [`Db::status`]. `open`, `idle` and `in_use` are of one moment; under
/// load the other figures may disagree with them by a session that is changing hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The highest number of sessions that may be open.
    pub max: usize,
    /// The number of open sessions, and of those that are being opened.
    pub open: usize,
    /// The number of open sessions that lie idle in the pool.
    pub idle: usize,
    /// The number of open sessions that scopes and users hold, or that were handed to callers which
    /// have not been polled since.
    pub in_use: usize,
    /// The number of callers that have asked for a session and do not have it yet.
    pub waiting: usize,
    /// The number of cleanups that run: sessions that are being brought to a known state or closed
    /// for their age, and ends of scopes that go on though their caller was dropped, with their
    /// hooks.
    pub settling: usize,
    /// True while callers that wait for long are refused; see
    /// [`DbBuilder::queue_target`](crate::DbBuilder::queue_target).
    pub shedding: bool,
    /// The state of the circuit breaker, which decides whether callers that need a new connection
    /// may open one; see [`DbBuilder::breaker_after`](crate::DbBuilder::breaker_after).
    pub breaker: Breaker,
}

impl<DB: Engine> Db<DB> {
    /// Returns the current state of the pool.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &*self.shared;
        let figures = shared.sessions.figures();
        Status {
            max: shared.limits.max_sessions,
            open: figures.open,
            idle: figures.idle,
            in_use: figures.in_use,
            waiting: figures.waiting + shared.waiting.load(Ordering::Relaxed),
            settling: shared.cleanups.len(),
            shedding: shared.gate.is_shedding(),
            breaker: self.connector().breaker.position(),
        }
    }
}

/// How long the server is given to answer who waits for whose lock.
const LOCKS_TIMEOUT: Duration = Duration::from_secs(1);

impl<DB: Engine> Db<DB> {
    /// Returns the scopes that hold the turn to write (`of_turn`) or a session, the oldest first:
    /// for the error of a caller that has waited for it in vain.
    pub(crate) fn holders(&self, of_turn: bool) -> Vec<OpenScope> {
        // Thousands may wait, and each may ask this when its time is over.
        let scopes = self.list(None, false).into_iter();
        let holders = scopes.filter(|seen| seen.has(of_turn));
        holders.map(|seen| seen.scope).collect()
    }

    /// A session was handed out for `need`: puts its scope into the list, and makes sure that it is
    /// watched.
    pub(crate) fn opened(&self, session: &Session<DB>, need: &Need) {
        let has_turn = DB::ONE_WRITER && need.writes;
        // The scope is in the list before the watch is asked, as `long_scopes` requires.
        session.activity().open(Holding::new(need, has_turn));
        // A session in autocommit mode is not watched.
        if need.transaction {
            self.watch_scopes();
        }
    }

    /// Returns all open scopes, the oldest first, without asking the server. Scopes that began
    /// before `overdue` and were not reported yet are marked as overdue, and count as reported.
    pub(crate) fn list_scopes(&self, overdue: Option<Instant>) -> Vec<Seen> {
        self.list(overdue, true)
    }

    /// [`list_scopes`](Self::list_scopes); without `all` only those that may hold what others wait
    /// for.
    fn list(&self, overdue: Option<Instant>, all: bool) -> Vec<Seen> {
        let mut seen = self.scopes_here().look(overdue);
        let in_queue = self.sessions().callers(all).into_iter();
        seen.extend(in_queue.map(|(caller, stage)| Seen::waiting(caller, stage, None)));
        // The list is complete from here on, so waiters can be matched with holders.
        seen.sort_by_key(Seen::since);
        for_sessions(&mut seen);
        seen
    }

    /// Asks the server which of the scopes that wait for it wait for a lock, and adds who holds it.
    pub(crate) async fn add_lock_waits(&self, seen: &mut [Seen]) {
        let waits_for_server = |seen: &&Seen| seen.scope.state.asks_server();
        let waiters = seen.iter().filter(waits_for_server);
        let waiters = waiters.filter_map(|seen| seen.scope.session);
        let waiters: Vec<_> = waiters.map(|id| id.to_string()).collect();
        let blocked = self.ask_who_blocks(&waiters.join(",")).await;
        // Holders that are not ours are strangers: of them only the id is known.
        let known: Vec<_> = seen.iter().map(|seen| Holder::of(&seen.scope)).collect();
        for (waiter, holder_id) in blocked {
            let known = known
                .iter()
                .find(|holder| holder.session == Some(holder_id));
            let holder = known.copied().unwrap_or(Holder::stranger(holder_id));
            let is_waiter = |seen: &&mut Seen| seen.scope.session == Some(waiter);
            // The lock is what the scope waits for in the end, whatever the list said.
            if let Some(seen) = seen.iter_mut().find(is_waiter)
                && !seen.scope.waits_on.contains(&holder)
            {
                seen.scope.waits_for = Some(WaitsFor::Lock);
                seen.scope.waits_on.push(holder);
            }
        }
    }

    /// Returns pairs of sessions, the first of which waits for a lock that the second holds.
    /// Returns none if the server cannot tell or does not answer in time.
    ///
    /// `sessions` are the ids of those that may wait, separated by commas.
    async fn ask_who_blocks(&self, sessions: &str) -> Vec<(u64, u64)> {
        let mut blocked = Vec::new();
        // Behind a pooler, the ids that we know are not those of the server.
        let hidden = self.cancel() == Cancel::Close;
        let question = match sessions {
            "" => None,
            _ if hidden => None,
            _ => DB::ask_who_blocks(sessions),
        };
        let Some(question) = question else {
            return blocked;
        };
        let answer = self.ask(&question, |row| blocked.extend(DB::blocked(row)));
        if let Ok(Err(error)) = timeout(LOCKS_TIMEOUT, answer).await {
            tracing::debug!(
                target: "txn", system = DB::SYSTEM, %error,
                "cannot ask who waits for a lock"
            );
        }
        blocked
    }
}
