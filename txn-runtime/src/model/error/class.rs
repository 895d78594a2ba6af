//! What an error means for a retry, by its code.
//!
//! The codes of each engine are in a module of their own. Which engine an error is from is seen by
//! the type of the driver's error, since most callers do not know the engine as a type.

use std::borrow::Cow;

use sqlx::error::DatabaseError;

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

/// The classes of MySQL's and MariaDB's errors, by their number.
#[cfg(feature = "mysql")]
pub(crate) mod mysql {
    use sqlx::mysql::MySqlDatabaseError;

    use super::Class;

    pub(crate) const LOCK_WAIT_TIMEOUT: u16 = 1205;
    pub(crate) const LOCK_TABLE_FULL: u16 = 1206;
    pub(crate) const DEADLOCK: u16 = 1213;
    const UNKNOWN_STATEMENT: u16 = 1243;
    const NEED_REPREPARE: u16 = 1615;
    /// MySQL: the server closed the connection because it was idle for longer than `wait_timeout`.
    const CLIENT_INTERACTION_TIMEOUT: u16 = 4031;
    /// MariaDB: a row changed since the snapshot was taken. The server rolls back, as for a
    /// deadlock.
    pub(crate) const CHECKREAD: u16 = 1020;

    /// How the error begins of a statement with more or fewer binds than placeholders.
    pub(crate) const MISCOUNTED: &str = "prepared statement expected ";

    /// The number of the error as text.
    pub(super) fn code(error: &MySqlDatabaseError) -> String {
        error.number().to_string()
    }

    /// The class of an error that the server has sent.
    pub(super) fn class(error: &MySqlDatabaseError) -> Class {
        match error.number() {
            DEADLOCK => Class::Deadlock,
            CHECKREAD => Class::Serialization,
            LOCK_WAIT_TIMEOUT | LOCK_TABLE_FULL => Class::Busy,
            NEED_REPREPARE => Class::Stale,
            // A statement that the driver has prepared, as opposed to one of a user's EXECUTE.
            UNKNOWN_STATEMENT if error.message().contains("mysqld_stmt") => Class::Stale,
            // server shutdown in progress, normal shutdown, aborting, killed
            1053 | 1077 | 1152 | 1927 => Class::Connection,
            CLIENT_INTERACTION_TIMEOUT => Class::HungUp,
            _ => Class::Other,
        }
    }

    /// Returns whether a protocol error of the driver is about more or fewer binds than
    /// placeholders.
    pub(crate) fn is_of_the_program(text: &str) -> bool {
        text.starts_with(MISCOUNTED)
    }
}

/// The classes of PostgreSQL's errors, by SQLSTATE.
#[cfg(feature = "postgres")]
pub(crate) mod postgres {
    use sqlx::postgres::{PgDatabaseError, PgSeverity};

    use super::Class;

    /// The class of an error that the server has sent.
    pub(super) fn class(error: &PgDatabaseError) -> Class {
        match error.code() {
            "40001" => Class::Serialization,
            "40P01" => Class::Deadlock,
            _ if is_stale(error) => Class::Stale,
            // lock_not_available
            "55P03" => Class::Busy,
            // class 28: wrong credentials; invalid_catalog_name. The server closes the connection,
            // and would do so again.
            code if code.starts_with("28") || code == "3D000" => Class::Other,
            // idle_in_transaction_session_timeout, transaction_timeout: the body is too slow for
            // the server.
            "25P03" | "25P04" => Class::HungUp,
            // The server closes the connection: shutdowns, crashes, timeouts of idle sessions,
            // dropped databases. An ERROR of class 08, connection exceptions, is about a message or
            // about the connection to another server: ours lives on.
            _ if matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) => {
                Class::Connection
            }
            _ => Class::Other,
        }
    }

    /// Returns whether a protocol error of the driver is a mistake of the program: more binds than
    /// a message can hold, which the driver sees before it sends anything, or COPY as a plain
    /// statement, after which the driver has lost its place in the protocol.
    pub(super) fn is_of_the_program(text: &str) -> bool {
        text.contains("too many arguments for query") || is_copy(text)
    }

    /// Returns whether a protocol error is that of a COPY as a plain statement.
    pub(crate) fn is_copy(text: &str) -> bool {
        text.starts_with("execute: unexpected message: Copy")
    }

    /// Returns whether a statement was prepared before the schema changed. Each of these codes
    /// stands for much else too, and messages are translated, so that something else has to tell.
    fn is_stale(error: &PgDatabaseError) -> bool {
        match error.code() {
            // cached plan must not change result type
            "0A000" => error.routine() == Some("RevalidateCachedQuery"),
            // A prepared statement of the driver does not exist: somebody ran DISCARD or DEALLOCATE
            // ALL.
            "26000" => error.message().contains("sqlx_s_"),
            // A type was dropped; created again under its name it has another OID. (Not
            // translated.)
            "XX000" => error.message().starts_with("cache lookup failed for type"),
            _ => false,
        }
    }
}

/// The classes of SQLite's errors, by their extended result code.
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite {
    use sqlx::error::DatabaseError;
    use sqlx::sqlite::SqliteError;

    use super::Class;

    /// The class of an error that a statement has met.
    pub(crate) fn class(error: &SqliteError) -> Class {
        match code(error) {
            517 => Class::Serialization,             // BUSY_SNAPSHOT
            code if code & 0xff == 5 => Class::Busy, // BUSY and its kinds
            code if code & 0xff == 6 => Class::Busy, // LOCKED and its kinds
            17 => Class::Stale,                      // SCHEMA
            _ => Class::Other,
        }
    }

    /// The class of an error that was met when a database was opened. A file that cannot be opened
    /// is then what an unreachable server is elsewhere; for a statement (ATTACH) it is an error
    /// like any other.
    pub(super) fn class_of_connecting(error: &SqliteError) -> Class {
        match primary_code(error) {
            14 => Class::Connection, // CANTOPEN and its kinds
            _ => class(error),
        }
    }

    /// The primary result code, which is the low byte of the extended one:
    /// <https://www.sqlite.org/rescode.html>.
    pub(crate) fn primary_code(error: &dyn DatabaseError) -> u32 {
        code(error) & 0xff
    }

    /// The extended result code.
    fn code(error: &dyn DatabaseError) -> u32 {
        let code = error.code().and_then(|code| code.parse().ok());
        code.unwrap_or_default()
    }

    /// Returns whether an error that the driver calls one of the protocol is a mistake of the
    /// program: there is no protocol that could go wrong. The driver's text names the place in its
    /// source.
    pub(super) fn is_of_the_program(text: &str) -> bool {
        text.contains("(sqlx_sqlite::")
    }
}
