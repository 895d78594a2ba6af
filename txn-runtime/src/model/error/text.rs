//! The texts of errors: lower-case fragments that say what happened, to which scope, and why.
//! Tests and the guide quote them.

use std::fmt;

use super::{Error, Kind, Source};
use crate::model::open_scope::OpenScope;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tried) = &self.0.tried {
            fmt::Display::fmt(tried, f)?;
        }
        if let Kind::Statement = self.0.kind {
            return fmt::Display::fmt(&self.0.source, f);
        }
        fmt::Display::fmt(&self.0.kind, f)?;
        if let Some(scope) = self.0.scope {
            write!(f, " (in `{scope}`)")?;
        }
        match &self.0.source {
            Source::None => Ok(()),
            source => write!(f, ": {source}"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Statement => "statement failed",
            Self::Connect => "cannot open a session",
            Self::Begin => "cannot begin",
            Self::Savepoint => "cannot set a savepoint",
            Self::Commit => "cannot commit, nothing was written",
            Self::CommitUnknown => {
                "connection lost during commit, which may or may not have taken effect"
            }
            Self::BeforeCommit => "rolled back because a hook before the commit failed",
            Self::Aborted { what } => what,
            Self::Ended { by, undone } => return write_ended(f, by.as_deref(), *undone),
            Self::RollbackOnly { by, asked } => {
                let did = if *asked { "asked for it" } else { "failed" };
                return write!(f, "rolled back because `{by}` inside it {did}");
            }
            Self::AcquireTimeout(wait) => return fmt::Display::fmt(wait, f),
            Self::Starved(starved) => return fmt::Display::fmt(starved, f),
            Self::Timeout(overrun) | Self::CommitLate(overrun) => {
                return fmt::Display::fmt(overrun, f);
            }
            Self::Overloaded(overload) => return fmt::Display::fmt(overload, f),
            Self::Unavailable(outage) => return fmt::Display::fmt(outage, f),
            Self::Closed => "the database handle is closed, no new scope can be opened",
            Self::Refused(why) => why,
        })
    }
}

/// Writes that something that ran in the transaction has ended it.
fn write_ended(f: &mut fmt::Formatter<'_>, by: Option<&str>, undone: bool) -> fmt::Result {
    f.write_str(if undone {
        "cannot roll back"
    } else {
        "cannot go on"
    })?;
    let by = by.unwrap_or("something that ran in it");
    write!(
        f,
        ", the transaction was ended by {by}, which may have committed what ran before"
    )
}

/// Writes the advice for a wait during which nothing was given back.
pub(super) fn write_stuck(f: &mut fmt::Formatter<'_>, is_turn: bool) -> fmt::Result {
    f.write_str("none was given back meanwhile; ")?;
    f.write_str(match is_turn {
        true => "mark what only reads `read_only`",
        false => "raise `max_sessions`, or hold sessions for less long",
    })?;
    write_itself(f)
}

/// Writes that the caller may hold what it waits for: that is the usual reason for a wait in which
/// nothing was given back, and it cannot be seen from here.
pub(super) fn write_itself(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(
        ", and if this caller has one itself, in a scope, an open row stream or a future that it \
         does not poll, it waits for itself",
    )
}

/// How many holders are named.
const OLDEST: usize = 3;

/// Writes who has held what was waited for, the oldest first.
pub(super) fn write_holders(f: &mut fmt::Formatter<'_>, holders: &[OpenScope]) -> fmt::Result {
    for (n, holder) in holders.iter().take(OLDEST).enumerate() {
        let before = if n == 0 { "; held for longest by" } else { ";" };
        write!(f, "{before} {holder}")?;
    }
    Ok(())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Sqlx(error) => fmt::Display::fmt(error, f),
            Self::Cause(cause) => fmt::Display::fmt(cause, f),
            Self::Boxed(error) => fmt::Display::fmt(error, f),
        }
    }
}
