//! The time that a scope has, from the moment it is asked for.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// Longer limits are as good as this one, which can be added to any moment on every platform.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// So long after its time is over a caller waits for the answer to a COMMIT or a ROLLBACK that is on its way; then that goes
/// on behind it.
const GRACE: Duration = Duration::from_secs(1);

/// What a session that lay idle is asked first is answered at once, unless nobody is there any more.
const LONGEST_PROBE: Duration = Duration::from_secs(2);

/// How long one that is to serve its caller until then may take to answer: another may have to be opened in its place.
pub(crate) fn probe_until(until: Instant) -> Instant {
    let now = Instant::now();
    now + (until.saturating_duration_since(now) / 4).min(LONGEST_PROBE)
}

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
    /// What comes before the COMMIT: reading what is left of a row stream, hooks.
    End,
    Commit,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, limit }
    }

    pub(crate) fn at(&self) -> Instant {
        self.begun + self.limit
    }

    /// When its caller waits no longer for its end.
    pub(crate) fn at_the_latest(&self) -> Instant {
        self.at() + GRACE
    }

    pub(crate) fn is_over(&self) -> bool {
        self.remaining().is_zero()
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
        let Self { limit, elapsed, .. } = self;
        let doing = match self.phase {
            Phase::Acquire => "waiting for a session",
            Phase::Begin => "beginning",
            Phase::Body => "running its body",
            Phase::End => "on its way to the commit",
            Phase::Commit => {
                return write!(
                    f,
                    "over its timeout of {limit:?} while committing, which may or may not take effect, given up after \
                     {elapsed:?}"
                );
            }
        };
        write!(
            f,
            "over its timeout of {limit:?} while {doing}, rolled back after {elapsed:?}"
        )
    }
}
