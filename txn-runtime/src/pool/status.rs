//! The figures of a pool: how many sessions it has, and what they are doing.

use std::sync::atomic::Ordering;

use super::Db;
use crate::engine::Engine;
use crate::pool::gate::Breaker;

/// The state of a pool, from [`Db::status`]. The figures are read one after the other: under load
/// they may disagree by a session that is changing hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The highest number of sessions that may be open.
    pub max: usize,
    /// The number of open sessions.
    pub open: usize,
    /// The number of open sessions that lie idle in the pool.
    pub idle: usize,
    /// The number of open sessions that scopes and users hold.
    pub in_use: usize,
    /// The number of callers that have asked for a session and do not have it yet.
    pub waiting: usize,
    /// The number of open sessions that are being brought to a known state.
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
        let settling = shared.cleanups.len();
        let manager = shared.pool.manager();
        // An orphaned session has a lease, but no longer counts in the size of the pool.
        let orphaned = manager.orphaned.load(Ordering::Relaxed);
        let in_use = (shared.leases.len()).saturating_sub(settling + orphaned);
        let open = shared.pool.status().size;
        Status {
            max: shared.limits.max_sessions,
            open,
            idle: open.saturating_sub(in_use + settling),
            in_use,
            waiting: shared.waiting.load(Ordering::Relaxed),
            settling,
            shedding: shared.gate.is_shedding(),
            breaker: manager.breaker.position(),
        }
    }
}
