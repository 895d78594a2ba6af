//! The time limit of a scope, which runs from the moment when the scope is asked for: the wait for
//! a session counts.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// The longest limit; longer ones are cut to it. It can be added to any `Instant` without overflow
/// on every platform.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// How long a caller still waits, once its time is over, for the answer to a COMMIT or a ROLLBACK
/// that is in flight. After that the end of the scope goes on in the background.
const GRACE: Duration = Duration::from_secs(1);

/// The longest that an idle session may take to answer a ping. A server that is still there answers
/// at once.
const LONGEST_PROBE: Duration = Duration::from_secs(2);

/// Returns when to give up a ping of an idle session, for a caller that waits no longer than
/// `until`. A quarter of the time is for the ping: the rest may be needed to open another session
/// instead.
pub(crate) fn probe_until(until: Instant) -> Instant {
    let now = Instant::now();
    now + (until.saturating_duration_since(now) / 4).min(LONGEST_PROBE)
}

/// When a scope's time is over. It is set once, and shared by all attempts at the scope.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// When the scope was asked for.
    begun: Instant,
    /// The time that the scope has.
    limit: Duration,
}

/// The phase that a scope was in when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It waited for a session.
    Acquire,
    /// Its BEGIN was in flight.
    Begin,
    /// Its body ran.
    Body,
    /// It did what comes before the COMMIT: it read the rest of a row stream, or ran hooks.
    End,
    /// Its COMMIT was in flight, so that the transaction may or may not be committed.
    Commit,
}

impl Deadline {
    /// A limit that counts from now.
    pub(crate) fn after(limit: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, limit }
    }

    /// The whole time that there is.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// The moment when the time is over.
    pub(crate) fn at(&self) -> Instant {
        self.begun + self.limit
    }

    /// The moment until which the caller waits for an end that is in flight.
    pub(crate) fn at_the_latest(&self) -> Instant {
        self.at() + GRACE
    }

    /// Returns whether the time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Returns how much time is left; zero when it is over.
    pub(crate) fn remaining(&self) -> Duration {
        self.at().saturating_duration_since(Instant::now())
    }

    /// The figures for the error, now that the time was over in this phase.
    pub(crate) fn over(&self, phase: Phase) -> Overrun {
        Overrun {
            limit: self.limit,
            elapsed: self.begun.elapsed(),
            phase,
        }
    }
}

/// The figures of a scope whose time was over, as its error shows them.
#[derive(Debug)]
pub(crate) struct Overrun {
    /// The time that the scope had.
    limit: Duration,
    /// How long the scope had run, the wait for a session included.
    elapsed: Duration,
    /// The phase that the scope was in.
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
                    "over its timeout of {limit:?} while committing, which may or may not take \
                     effect, given up after {elapsed:?}"
                );
            }
        };
        write!(
            f,
            "over its timeout of {limit:?} while {doing}, rolled back after {elapsed:?}"
        )
    }
}
