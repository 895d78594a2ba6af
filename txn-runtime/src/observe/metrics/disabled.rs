//! What stands for the meter where there is none: of no size, and without effect.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::error::Error;
use crate::model::labels::{
    CloseReason, HookKind, RollbackCause, ScopeKind, ScopeOutcome, ScopePhase, SettleOutcome,
};

#[derive(Clone, Debug)]
pub(crate) struct Meter;

/// All that a meter hands out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disabled;

pub(crate) type Timestamp = Disabled;
pub(crate) type PoolName = Disabled;
pub(crate) type SessionTracker = Disabled;
pub(crate) type Timer = Disabled;

#[allow(clippy::unused_self, reason = "as where there is a meter")]
impl Meter {
    pub(crate) fn new<DB: Engine>(_: PoolName, _: &ConnectOptionsOf<DB>, _: usize) -> Self {
        Self
    }

    pub(crate) fn waiting(&self) -> Disabled {
        Disabled
    }

    pub(crate) fn waited(&self, _: Duration, _: Instant, _: Result<Timestamp, &Error>) {}

    pub(crate) fn opening(&self) -> Disabled {
        Disabled
    }

    pub(crate) fn breaker_opened(&self) {}

    pub(crate) fn breaker_closed(&self) {}

    pub(crate) fn waited_in_vain(&self) {}

    pub(crate) fn scope(&self, _: &'static str, _: ScopeKind, _: bool) -> Timer {
        Disabled
    }

    pub(crate) fn begun(&self, _: Timestamp) {}

    pub(crate) fn committed(&self, _: Timestamp, _: Timestamp) {}

    pub(crate) fn rolled_back(&self, _: RollbackCause) {}

    pub(crate) fn finished_after_drop(&self, _: ScopeOutcome) {}

    pub(crate) fn hook_failed(&self, _: HookKind) {}

    pub(crate) fn counting<F: Future<Output = ()> + Send + 'static>(&self, cleanup: F) -> F {
        cleanup
    }

    pub(crate) fn settling(&self) -> Settling {
        Settling
    }
}

impl Disabled {
    // -- a point in time
    pub(crate) fn now() -> Self {
        Self
    }

    // -- a session
    pub(crate) fn opened(self) -> SessionTracker {
        self
    }

    pub(crate) fn refused(self, _: &Error) {}

    pub(crate) fn taken(&mut self) {}

    pub(crate) fn taken_at(&self) -> Timestamp {
        Self
    }

    pub(crate) fn returned(&mut self, _: std::time::Instant) {}

    pub(crate) fn closes(&mut self, _: CloseReason) {}

    pub(crate) fn gone(&mut self, _: CloseReason) {}

    // -- a scope
    pub(crate) fn runs(&self) -> bool {
        false
    }

    pub(crate) fn again(&mut self) {}

    pub(crate) fn ended(&mut self, _: ScopeOutcome, _: ScopePhase, _: Option<Timestamp>) {}
}

/// A cleanup.
pub(crate) struct Settling;

impl Settling {
    pub(crate) fn ended(self, _: SettleOutcome) {}
}
