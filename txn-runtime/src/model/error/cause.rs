//! What is kept of an error: its text, its class and its code, cheap to clone.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::Error;
use super::class::{self, Class};

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
