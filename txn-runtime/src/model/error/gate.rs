//! Callers that were refused before it was their turn: because too many wait, or because the server
//! cannot be reached.

use std::fmt;
use std::time::Duration;

use super::cause::{write_holders, write_itself, write_stuck};
use super::{Cause, Error, Kind, Source};
use crate::model::open_scope::OpenScope;

/// The figures of a pool that cannot keep up with what is asked of it.
#[derive(Debug)]
pub(crate) struct Overload {
    /// The caller that was refused, and by which limit.
    pub(crate) refused: Refused,
    /// The queue is the one for the turn to write, as opposed to the one for sessions.
    pub(crate) writes: bool,
    /// `max_sessions`.
    pub(crate) max: usize,
    /// Sessions that scopes and callers have.
    pub(crate) in_use: usize,
    /// Sessions that a cleanup has.
    pub(crate) settling: usize,
    /// The scopes that hold what was waited for, the one that has held it for longest first.
    pub(crate) holders: Vec<OpenScope>,
    /// They have all held it for the whole wait.
    pub(crate) is_stuck: bool,
}

/// Which caller was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A caller that had waited for `waited`, because for an `interval` nobody was served within
    /// the `target`.
    Waiting {
        waited: Duration,
        target: Duration,
        interval: Duration,
    },
    /// A caller that came when as many callers waited as may.
    New { max_waiting: usize },
}

/// The figures of an outage, for callers that the open circuit breaker refuses.
#[derive(Debug)]
pub(crate) struct Outage {
    /// How long the server has been unreachable.
    pub(crate) lasts: Duration,
    /// How many attempts to connect have failed in a row.
    pub(crate) attempts: u32,
    /// The failure of the last attempt.
    pub(crate) cause: Cause,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lasts, attempts, ..
        } = self;
        write!(
            f,
            "the server has been out of reach for {lasts:?} and {attempts} attempts, \
             refused without another"
        )
    }
}

impl Error {
    /// The pool refuses a caller early.
    pub(crate) fn overloaded(figures: Overload) -> Self {
        Self::new(Kind::Overloaded(figures), None, Source::None)
    }

    /// The circuit breaker refuses a caller.
    pub(crate) fn unavailable(outage: Outage) -> Self {
        let cause = Source::Cause(outage.cause.clone());
        Self::new(Kind::Unavailable(outage), None, cause)
    }

    /// The caller was refused early, because the [`Db`](crate::Db) cannot keep up: callers have
    /// been waiting for too long for a while
    /// ([`DbBuilder::queue_target`](crate::DbBuilder::queue_target)), or too many wait
    /// ([`DbBuilder::max_waiting`](crate::DbBuilder::max_waiting)). Nothing was sent.
    ///
    /// This is no [`is_acquire_timeout`](Self::is_acquire_timeout), because no time limit of the
    /// caller is over, and it is not [retryable](Self::is_retryable), because to try again at once
    /// makes it worse. Tell a client to come back later.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        matches!(self.0.kind, Kind::Overloaded(_))
    }

    /// The caller was refused at once, because the server has been unreachable for a while
    /// ([`DbBuilder::breaker_after`](crate::DbBuilder::breaker_after)). Nothing was sent; the text,
    /// the [`code`](Self::code) and [`is_connection`](Self::is_connection) are those of the last
    /// attempt to connect.
    ///
    /// It is [retryable](Self::is_retryable): it passes as soon as the server can be reached, and
    /// costs the server nothing.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.0.kind, Kind::Unavailable(_))
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            max,
            in_use,
            settling,
            ..
        } = self;
        let is_overload = !self.may_wait_for_itself();
        if is_overload {
            f.write_str("overloaded, ")?;
        }
        self.write_refused(f)?;
        write!(
            f,
            "; of {max} sessions {in_use} are in use and {settling} are settling"
        )?;
        write_holders(f, &self.holders)?;
        f.write_str(": ")?;
        match is_overload {
            true => self.write_advice(f),
            false => self.write_stuck(f),
        }
    }
}

impl Overload {
    /// Returns whether the caller may be waiting for itself, as opposed to a pool under load: under
    /// load, sessions come and go, and others wait too.
    fn may_wait_for_itself(&self) -> bool {
        match self.refused {
            Refused::Waiting { .. } => self.is_stuck,
            Refused::New { max_waiting } => max_waiting == 0,
        }
    }

    /// Writes the advice for a pool under load.
    fn write_advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "ask for less at a time, hold sessions for less long, or raise `max_sessions` or ",
        )?;
        f.write_str(match self.refused {
            Refused::Waiting { .. } => "`queue_target`",
            Refused::New { .. } => "`max_waiting`",
        })
    }

    /// Writes the advice for a caller that may be waiting for itself.
    fn write_stuck(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refused {
            Refused::Waiting { .. } => write_stuck(f, self.writes),
            Refused::New { .. } => {
                f.write_str("raise `max_sessions` or `max_waiting`")?;
                write_itself(f)
            }
        }
    }

    /// Writes who was refused, and by which limit.
    fn write_refused(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.writes {
            true => "its turn to write",
            false => "a session",
        };
        match &self.refused {
            Refused::Waiting {
                waited,
                target,
                interval,
            } => write!(
                f,
                "refused after a wait of {waited:?} because for {interval:?} nobody has got {what} \
                 within {target:?}"
            ),
            Refused::New { max_waiting: 0 } => {
                f.write_str("refused at once because nobody may wait")
            }
            Refused::New { max_waiting } => write!(
                f,
                "refused at once because {max_waiting} callers wait already"
            ),
        }
    }
}
