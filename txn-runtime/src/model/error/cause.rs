//! The cause of an error as text, and how an error names itself and the scopes that hold what was
//! waited for.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::class::{self, Class};
use super::{Error, Kind, Source};
use crate::model::open_scope::OpenScope;

/// The reason for which a transaction was not committed.
///
/// The first failure of a transaction is kept, so that every later refusal can name it, and so that
/// hooks after a rollback get it. Clones share it.
#[derive(Clone)]
pub struct Cause(Arc<CauseRepr>);

/// The facts that a cause remembers of the error, which itself is given to the user.
struct CauseRepr {
    /// The text of the error.
    message: String,
    /// The meaning of the error for a retry.
    class: Class,
    /// The engine's own code, as in [`Error::code`].
    code: Option<String>,
    /// See [`Cause::is_unknown`].
    unknown: bool,
}

impl Cause {
    /// A failure that is not an error of the database.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::with_class(message.into(), Class::Other, None)
    }

    /// The failure of a statement.
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        Self::with_class(error.to_string(), Class::of(error), code(error))
    }

    /// The failure to open a session.
    pub(crate) fn of_connecting(error: &sqlx::Error) -> Self {
        Self::with_class(error.to_string(), Class::of_connecting(error), code(error))
    }

    /// The connection was lost during a COMMIT: nobody knows whether the transaction failed.
    pub(crate) fn unknown(message: &str) -> Self {
        Self(Arc::new(CauseRepr {
            message: message.into(),
            class: Class::Connection,
            code: None,
            unknown: true,
        }))
    }

    /// The failure of a scope itself.
    pub(crate) fn of_scope(error: &Error) -> Self {
        Self(Arc::new(CauseRepr {
            message: error.to_string(),
            class: error.class(),
            code: error.code().map(Cow::into_owned),
            unknown: error.is_commit_unknown() || error.is_partly_committed(),
        }))
    }

    /// The transaction, or a part of it, may have been committed after all: the connection was lost
    /// during the COMMIT, or something that ran in the transaction had ended it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.0.unknown
    }

    /// A failure that is certain.
    fn with_class(message: String, class: Class, code: Option<String>) -> Self {
        Self(Arc::new(CauseRepr {
            message,
            class,
            code,
            unknown: false,
        }))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.message, f)
    }
}

impl StdError for Cause {}

/// The engine's own code of an error, also where it is one of ours inside of sqlx's.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    match Error::carried_by(error) {
        Some(ours) => ours.code().map(Cow::into_owned),
        None => class::code(error.as_database_error()?),
    }
}

impl Cause {
    /// The class of the error.
    pub(crate) fn class(&self) -> Class {
        self.0.class
    }

    /// The engine's own code of the error.
    pub(super) fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }
}

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
                "the commit was not confirmed, and may or may not have taken effect"
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
