//! What an error means, by what its driver says of it.
//!
//! Where only the error is at hand, its own type tells which engine it is from.

use std::borrow::Cow;

use sqlx::error::DatabaseError;

#[cfg(feature = "mysql")]
pub(crate) mod mysql;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use super::Error;

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
            sqlx::Error::Database(error) => class(&**error),
            sqlx::Error::Protocol(text) if is_of_the_program(text) => Self::Other,
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
            sqlx::Error::Database(error) => class_of_connecting(&**error),
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

pub(crate) fn class_of_connecting(error: &dyn DatabaseError) -> Class {
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref() {
        return sqlite::class_of_connecting(error);
    }
    class(error)
}

/// Whether what the driver calls an error of the protocol is one of the program that uses it: a bind that was forgotten.
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

pub(crate) fn code(error: &dyn DatabaseError) -> Option<String> {
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref() {
        return Some(mysql::code(error));
    }
    error.code().map(Cow::into_owned)
}
