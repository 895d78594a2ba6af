//! The error of a caller that got no session: what it waited for, and who holds that.

use tokio::time::Instant;

use crate::engine::Engine;
use crate::model::error::{AcquireTimeout, Error, Overload, PoolFigures, Refused, WaitedFor};
use crate::model::open_scope::{OpenScope, ScopeState};
use crate::model::request::{Need, WaitStage};
use crate::pool::Db;
use crate::pool::gate::Rejection;

/// A wait that ended without a session.
pub(super) struct FailedWait {
    /// When the caller began to wait.
    pub(super) since: Instant,
    pub(super) deadline: Instant,
    /// What the caller was waiting for in the end.
    pub(super) stage: WaitStage,
}

impl<DB: Engine> Db<DB> {
    /// Makes the error of a caller that got no session.
    pub(super) fn rejected(&self, need: &Need, rejection: Rejection, wait: &FailedWait) -> Error {
        let settings = self.shared.gate.settings();
        let refused = match rejection {
            Rejection::TimedOut => {
                return self.acquire_timed_out(wait.deadline, self.waited_for(wait));
            }
            Rejection::Shed { waited } => Refused::Waiting {
                waited,
                target: settings.target.unwrap_or_default(),
                interval: settings.interval,
            },
            Rejection::Full => Refused::New {
                max_waiting: settings.max_waiting.unwrap_or_default(),
            },
        };
        let (holders, is_stuck) = self.holders_since(wait);
        let status = self.status();
        Error::overloaded(Overload {
            refused,
            writes: need.writes && DB::ONE_WRITER,
            max: status.max,
            in_use: status.in_use,
            settling: status.settling,
            holders,
            is_stuck,
        })
    }

    /// Returns the scopes that hold what was waited for, and whether the wait was stuck: all of
    /// them have held it for as long as the caller waited.
    fn holders_since(&self, wait: &FailedWait) -> (Vec<OpenScope>, bool) {
        let waited = wait.since.elapsed();
        let holders = self.holders(wait.stage == WaitStage::Turn);
        let kept = |scope: &OpenScope| scope.age >= waited && scope.state != ScopeState::Settling;
        let is_stuck = !holders.is_empty() && holders.iter().all(kept);
        (holders, is_stuck)
    }

    /// Makes the error of a caller whose deadline passed.
    pub(super) fn acquire_timed_out(&self, deadline: Instant, waited_for: WaitedFor) -> Error {
        let limit = self.shared.limits.acquire_timeout;
        // The time from the call on: a deadline is always set `limit` after it.
        let waited = limit + Instant::now().saturating_duration_since(deadline);
        Error::acquire_timeout(AcquireTimeout {
            limit,
            waited,
            waited_for,
        })
    }

    /// Says that the caller was still waiting for the session of a sandbox, which `holder` has.
    pub(super) fn waited_for_sandbox(&self, wait: &FailedWait, holder: &'static str) -> WaitedFor {
        WaitedFor::Sandbox {
            holder,
            holders: self.holders_since(wait).0,
        }
    }

    /// Says what the caller of a pool was still waiting for at its deadline.
    fn waited_for(&self, wait: &FailedWait) -> WaitedFor {
        let (holders, is_stuck) = self.holders_since(wait);
        let status = self.status();
        let pool = PoolFigures {
            max: status.max,
            in_use: status.in_use,
            settling: status.settling,
            waiting: status.waiting,
            holders,
        };
        match wait.stage {
            WaitStage::Turn => WaitedFor::Turn(pool),
            WaitStage::Connection => WaitedFor::Connection(pool),
            WaitStage::Session | WaitStage::Due => WaitedFor::Session { pool, is_stuck },
        }
    }
}
