//! What an error means, and the memory of one.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::Error;
use crate::engine;

/// What an error means for those who decide what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Other,
    Serialization,
    Deadlock,
    /// A lock that was not to be had in time; nothing is wrong with the transaction.
    Busy,
    /// What the session remembered of the schema is not true any more; the statement was not run.
    Stale,
    /// The connection was lost, and another one may do.
    Connection,
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        allow(dead_code, reason = "where there is a server")
    )]
    /// The server has hung up on a program that was too slow, and would do so again.
    HungUp,
}

impl Class {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        if let Some(ours) = Error::carried_by(error) {
            return ours.class();
        }
        match error {
            sqlx::Error::Database(error) => engine::class(&**error),
            sqlx::Error::Protocol(text) if engine::is_of_the_program(text) => Self::Other,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Connection,
            _ => Self::Other,
        }
    }

    /// What it means that a session could not be opened.
    pub(crate) fn of_connecting(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => engine::class_of_connecting(&**error),
            error => Self::of(error),
        }
    }

    /// There is no connection any more.
    pub(crate) fn is_loss(self) -> bool {
        matches!(self, Self::Connection | Self::HungUp)
    }

    /// Running the whole transaction again may succeed.
    pub(crate) fn may_pass(self) -> bool {
        !matches!(self, Self::Other | Self::HungUp)
    }
}

/// Why a transaction was not committed.
///
/// The first failure of a transaction is kept, so that every later refusal can name it, and hooks after a rollback get it.
#[derive(Clone)]
pub struct Cause(Arc<CauseRepr>);

struct CauseRepr {
    message: String,
    class: Class,
    code: Option<String>,
    unknown: bool,
}

impl Cause {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::with_class(message.into(), Class::Other, None)
    }

    pub(crate) fn of(error: &sqlx::Error) -> Self {
        Self::with_class(error.to_string(), Class::of(error), code(error))
    }

    pub(crate) fn of_connecting(error: &sqlx::Error) -> Self {
        Self::with_class(error.to_string(), Class::of_connecting(error), code(error))
    }

    /// Nobody knows whether there is something to be a cause of.
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

pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    match Error::carried_by(error) {
        Some(ours) => ours.code().map(Cow::into_owned),
        None => engine::code(error.as_database_error()?),
    }
}

impl Cause {
    pub(crate) fn class(&self) -> Class {
        self.0.class
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }
}
