//! The time that a scope has, from the moment it is asked for.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// Longer limits are as good as this one, which can be added to any moment on every platform.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// When a scope's time is over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    begun: Instant,
    limit: Duration,
}

/// What a scope was doing when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Acquire,
    Begin,
    Body,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, limit }
    }

    pub(crate) fn at(&self) -> Instant {
        self.begun + self.limit
    }

    pub(crate) fn remaining(&self) -> Duration {
        self.at().saturating_duration_since(Instant::now())
    }

    pub(crate) fn over(&self, phase: Phase) -> Overrun {
        Overrun {
            limit: self.limit,
            elapsed: self.begun.elapsed(),
            phase,
        }
    }
}

/// The figures of a scope that took too long.
#[derive(Debug)]
pub(crate) struct Overrun {
    limit: Duration,
    elapsed: Duration,
    phase: Phase,
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.phase {
            Phase::Acquire => "waiting for a session",
            Phase::Begin => "beginning",
            Phase::Body => "running its body",
        };
        let Self { limit, elapsed, .. } = self;
        write!(
            f,
            "over its timeout of {limit:?} while {doing}, rolled back after {elapsed:?}"
        )
    }
}
