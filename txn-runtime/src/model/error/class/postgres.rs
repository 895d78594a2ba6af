//! The classes of PostgreSQL's errors, by SQLSTATE.

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
        // class 28: wrong credentials; invalid_catalog_name. The server closes the connection, and
        // would do so again.
        code if code.starts_with("28") || code == "3D000" => Class::Other,
        // idle_in_transaction_session_timeout, transaction_timeout: the body is too slow for the
        // server.
        "25P03" | "25P04" => Class::HungUp,
        // The server closes the connection: shutdowns, crashes, timeouts of idle sessions, dropped
        // databases. An ERROR of class 08, connection exceptions, is about a message or about the
        // connection to another server: ours lives on.
        _ if matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) => Class::Connection,
        _ => Class::Other,
    }
}

/// Returns whether a protocol error of the driver is a mistake of the program: more binds than a
/// message can hold, which the driver sees before it sends anything, or COPY as a plain statement,
/// after which the driver has lost its place in the protocol.
pub(super) fn is_of_the_program(text: &str) -> bool {
    text.contains("too many arguments for query") || is_copy(text)
}

/// Returns whether a protocol error is that of a COPY as a plain statement.
pub(crate) fn is_copy(text: &str) -> bool {
    text.starts_with("execute: unexpected message: Copy")
}

/// Returns whether a statement was prepared before the schema changed. Each of these codes stands
/// for much else too, and messages are translated, so that something else has to tell.
fn is_stale(error: &PgDatabaseError) -> bool {
    match error.code() {
        // cached plan must not change result type
        "0A000" => error.routine() == Some("RevalidateCachedQuery"),
        // A prepared statement of the driver does not exist: somebody ran DISCARD or DEALLOCATE
        // ALL.
        "26000" => error.message().contains("sqlx_s_"),
        // A type was dropped; created again under its name it has another OID. (Not translated.)
        "XX000" => error.message().starts_with("cache lookup failed for type"),
        _ => false,
    }
}
