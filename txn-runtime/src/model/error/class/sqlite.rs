//! The classes of SQLite's errors, by their extended result code.

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

/// The class of an error that was met when a database was opened. A file that cannot be opened is
/// then what an unreachable server is elsewhere; for a statement (ATTACH) it is an error like any
/// other.
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

/// Returns whether an error that the driver calls one of the protocol is a mistake of the program:
/// there is no protocol that could go wrong. The driver's text names the place in its source.
pub(super) fn is_of_the_program(text: &str) -> bool {
    text.contains("(sqlx_sqlite::")
}
