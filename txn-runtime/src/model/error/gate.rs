//! Callers that were refused without having their turn: too many of them, or no server.

use std::fmt;
use std::time::Duration;

use super::text::{write_holders, write_itself, write_stuck};
use super::{Cause, Error, Kind, Source};
use crate::model::open_scope::OpenScope;

/// The figures of a pool that more is asked of than it can do.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) refused: Refused,
    /// They wait for their turn to write, one at a time.
    pub(crate) writes: bool,
    pub(crate) max: usize,
    pub(crate) in_use: usize,
    pub(crate) settling: usize,
    /// Who has what was waited for, the one who has had it for longest first.
    pub(crate) holders: Vec<OpenScope>,
    /// All of them have had it for the whole wait.
    pub(crate) is_stuck: bool,
}

/// Who was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// One who had waited for so long, after an interval in which nobody was served within the target.
    Waiting {
        waited: Duration,
        target: Duration,
        interval: Duration,
    },
    /// One who came when as many waited as may.
    New { max_waiting: usize },
}

/// What is told to those who may not try.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) lasts: Duration,
    pub(crate) attempts: u32,
    pub(crate) cause: Cause,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lasts, attempts, ..
        } = self;
        write!(
            f,
            "the server has been out of reach for {lasts:?} and {attempts} attempts, refused without another"
        )
    }
}

impl Error {
    pub(crate) fn overloaded(figures: Overload) -> Self {
        Self::new(Kind::Overloaded(figures), None, Source::None)
    }

    pub(crate) fn unavailable(outage: Outage) -> Self {
        let cause = Source::Cause(outage.cause.clone());
        Self::new(Kind::Unavailable(outage), None, cause)
    }

    /// Refused early, because more is asked of the [`Db`](crate::Db) than it can do: callers have been waiting for too long for a
    /// while ([`DbBuilder::queue_target`](crate::DbBuilder::queue_target)), or too many wait
    /// ([`DbBuilder::max_waiting`](crate::DbBuilder::max_waiting)). Nothing was sent.
    ///
    /// No kind of [`is_acquire_timeout`](Self::is_acquire_timeout), for no time limit of the caller's is over, and not
    /// [retryable](Self::is_retryable): to try again at once makes it worse. To a client, say that it may come back later.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        matches!(self.0.kind, Kind::Overloaded(_))
    }

    /// Refused at once, because the server has been out of reach for a while
    /// ([`DbBuilder::breaker_after`](crate::DbBuilder::breaker_after)). Nothing was sent; the text, the [`code`](Self::code) and
    /// [`is_connection`](Self::is_connection) are those of the last attempt to connect.
    ///
    /// It is [retryable](Self::is_retryable): it passes as soon as the server can be reached, and costs the server nothing.
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
    /// Under overload sessions come and go, and others wait.
    fn may_wait_for_itself(&self) -> bool {
        match self.refused {
            Refused::Waiting { .. } => self.is_stuck,
            Refused::New { max_waiting } => max_waiting == 0,
        }
    }

    fn write_advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "ask for less at a time, hold sessions for less long, or raise `max_sessions` or ",
        )?;
        f.write_str(match self.refused {
            Refused::Waiting { .. } => "`queue_target`",
            Refused::New { .. } => "`max_waiting`",
        })
    }

    fn write_stuck(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refused {
            Refused::Waiting { .. } => write_stuck(f, self.writes),
            Refused::New { .. } => {
                f.write_str("raise `max_sessions` or `max_waiting`")?;
                write_itself(f)
            }
        }
    }

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
                "refused after a wait of {waited:?} because for {interval:?} nobody has got {what} within {target:?}"
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
