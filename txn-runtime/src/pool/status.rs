//! How a pool stands.

use std::sync::atomic::Ordering;

use super::Db;
use crate::engine::Engine;
use crate::pool::gate::Breaker;

/// How a pool stands, from [`Db::status`]. The figures are read one after the other: under load they may disagree by
/// a session that just changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The most sessions that may be open.
    pub max: usize,
    /// Sessions open.
    pub open: usize,
    /// Of these, in the pool.
    pub idle: usize,
    /// Of these, in the hands of scopes and users.
    pub in_use: usize,
    /// Callers that have asked for a session and do not have it yet.
    pub waiting: usize,
    /// Of the open ones, those being brought to a known state.
    pub settling: usize,
    /// Whether callers that wait for long are refused; see [`DbBuilder::queue_target`](crate::DbBuilder::queue_target).
    pub shedding: bool,
    /// Whether callers that need a new connection may try; see [`DbBuilder::breaker_after`](crate::DbBuilder::breaker_after).
    pub breaker: Breaker,
}

impl<DB: Engine> Db<DB> {
    /// How the pool stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &*self.shared;
        let settling = shared.cleanups.len();
        let manager = shared.pool.manager();
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
            breaker: manager.switch.breaker(),
        }
    }
}
