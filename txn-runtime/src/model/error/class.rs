//! What an error means for a retry, by its code.
//!
//! The codes of each engine are in a file of their own. Which engine an error is from is seen by
//! the type of the driver's error, since most callers do not know the engine as a type.

use std::borrow::Cow;

use sqlx::error::DatabaseError;

#[cfg(feature = "mysql")]
pub(crate) mod mysql;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use super::Error;

/// The meaning of an error for the decision what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// An error that running the transaction again would meet again.
    Other,
    /// The engine could not order the transaction among the concurrent ones.
    Serialization,
    /// The engine chose the transaction to break a deadlock.
    Deadlock,
    /// A lock could not be had in time; nothing is wrong with the transaction.
    Busy,
    /// A statement was prepared before the schema changed, and was not run.
    Stale,
    /// The connection was lost, and another one may do.
    Connection,
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        allow(dead_code, reason = "where there is a server")
    )]
    /// The server has closed the connection because the program was too slow, and would do so
    /// again.
    HungUp,
}

impl Class {
    /// The class of any error, also of one of ours inside of sqlx's.
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        if let Some(ours) = Error::carried_by(error) {
            return ours.class();
        }
        match error {
            sqlx::Error::Database(error) => class(&**error),
            sqlx::Error::Protocol(text) if is_of_the_program(text) => Self::Other,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Connection,
            _ => Self::Other,
        }
    }

    /// The class of an error that was met when a session was opened.
    pub(crate) fn of_connecting(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => class_of_connecting(&**error),
            error => Self::of(error),
        }
    }

    /// Returns whether the connection is gone.
    pub(crate) fn is_loss(self) -> bool {
        matches!(self, Self::Connection | Self::HungUp)
    }

    /// Returns whether running the whole transaction again may succeed.
    pub(crate) fn may_pass(self) -> bool {
        !matches!(self, Self::Other | Self::HungUp)
    }
}

/// The class of an error that a database has sent.
pub(crate) fn class(error: &dyn DatabaseError) -> Class {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref() {
        return postgres::class(error);
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref() {
        return mysql::class(error);
    }
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref() {
        return sqlite::class(error);
    }
    let _ = error;
    Class::Other
}

/// The class of an error that a database has sent when a session was opened.
pub(crate) fn class_of_connecting(error: &dyn DatabaseError) -> Class {
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref() {
        return sqlite::class_of_connecting(error);
    }
    class(error)
}

/// Returns whether a protocol error of the driver is a mistake of the program, like a bind that was
/// forgotten, and the connection is not lost.
pub(crate) fn is_of_the_program(text: &str) -> bool {
    #[cfg(feature = "postgres")]
    if postgres::is_of_the_program(text) {
        return true;
    }
    #[cfg(feature = "mysql")]
    if mysql::is_of_the_program(text) {
        return true;
    }
    #[cfg(feature = "sqlite")]
    if sqlite::is_of_the_program(text) {
        return true;
    }
    let _ = text;
    false
}

/// The engine's own code: sqlx gives the SQLSTATE on MySQL, where the number says more.
pub(crate) fn code(error: &dyn DatabaseError) -> Option<String> {
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref() {
        return Some(mysql::code(error));
    }
    error.code().map(Cow::into_owned)
}
