//! What the errors of PostgreSQL mean.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::Class;

pub(super) fn class(error: &PgDatabaseError) -> Class {
    match error.code() {
        "40001" => Class::Serialization,
        "40P01" => Class::Deadlock,
        _ if is_stale(error) => Class::Stale,
        // lock_not_available
        "55P03" => Class::Busy,
        // class 28: wrong credentials; invalid_catalog_name. The server hangs up too, but would do so again.
        code if code.starts_with("28") || code == "3D000" => Class::Other,
        // idle_in_transaction_session_timeout, transaction_timeout: the body is too slow for the server.
        "25P03" | "25P04" => Class::HungUp,
        // The server hangs up: shutdowns, crashes, timeouts of idle sessions, dropped databases. Not so with an ERROR of
        // class 08, connection exceptions: it is about a message, or another server's connection.
        _ if matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) => Class::Connection,
        _ => Class::Other,
    }
}

/// More binds than a message can hold, which is seen before anything is sent; COPY as a plain statement, which the driver
/// loses its place by.
pub(super) fn is_of_the_program(text: &str) -> bool {
    text.contains("too many arguments for query") || is_copy(text)
}

pub(crate) fn is_copy(text: &str) -> bool {
    text.starts_with("execute: unexpected message: Copy")
}

/// Of these codes each stands for much else too, and the words are in the server's language.
fn is_stale(error: &PgDatabaseError) -> bool {
    match error.code() {
        // cached plan must not change result type
        "0A000" => error.routine() == Some("RevalidateCachedQuery"),
        // A statement of the driver's does not exist: somebody has said DISCARD or DEALLOCATE ALL.
        "26000" => error.message().contains("sqlx_s_"),
        // A type was dropped; made again under its name it has another number. (Not translated.)
        "XX000" => error.message().starts_with("cache lookup failed for type"),
        _ => false,
    }
}
