//! What stands for the meter where there is none: of no size, and without effect.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::error::Error;
use crate::model::words::{Closed, Finish, Hook, Kind, Moment, Settled, Undone};

#[derive(Clone, Debug)]
pub(crate) struct Meter;

/// All that a meter hands out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Nothing;

pub(crate) type Point = Nothing;
pub(crate) type PoolName = Nothing;
pub(crate) type Presence = Nothing;
pub(crate) type Timer = Nothing;

#[allow(clippy::unused_self, reason = "as where there is a meter")]
impl Meter {
    pub(crate) fn new<DB: Engine>(_: PoolName, _: &ConnectOptionsOf<DB>, _: usize) -> Self {
        Self
    }

    pub(crate) fn waiting(&self) -> Nothing {
        Nothing
    }

    pub(crate) fn waited(&self, _: Duration, _: Instant, _: Result<Point, &Error>) {}

    pub(crate) fn opening(&self) -> Nothing {
        Nothing
    }

    pub(crate) fn breaker_opened(&self) {}

    pub(crate) fn breaker_closed(&self) {}

    pub(crate) fn waited_in_vain(&self) {}

    pub(crate) fn scope(&self, _: &'static str, _: Kind, _: bool) -> Timer {
        Nothing
    }

    pub(crate) fn begun(&self, _: Point) {}

    pub(crate) fn committed(&self, _: Point, _: Point) {}

    pub(crate) fn rolled_back(&self, _: Undone) {}

    pub(crate) fn finished_after_drop(&self, _: Finish) {}

    pub(crate) fn hook_failed(&self, _: Hook) {}

    pub(crate) fn counting<F: Future<Output = ()> + Send + 'static>(&self, cleanup: F) -> F {
        cleanup
    }

    pub(crate) fn settling(&self) -> Settling {
        Settling
    }
}

impl Nothing {
    // -- a point in time
    pub(crate) fn now() -> Self {
        Self
    }

    // -- a session
    pub(crate) fn opened(self) -> Presence {
        self
    }

    pub(crate) fn refused(self, _: &Error) {}

    pub(crate) fn taken(&mut self) {}

    pub(crate) fn taken_at(&self) -> Point {
        Self
    }

    pub(crate) fn returned(&mut self, _: std::time::Instant) {}

    pub(crate) fn closes(&mut self, _: Closed) {}

    pub(crate) fn gone(&mut self, _: Closed) {}

    // -- a scope
    pub(crate) fn runs(&self) -> bool {
        false
    }

    pub(crate) fn again(&mut self) {}

    pub(crate) fn ended(&mut self, _: Finish, _: Moment, _: Option<Point>) {}
}

/// A cleanup.
pub(crate) struct Settling;

impl Settling {
    pub(crate) fn ended(self, _: Settled) {}
}
