//! What the errors of SQLite mean.

use sqlx::error::DatabaseError;
use sqlx::sqlite::SqliteError;

use super::Class;

pub(crate) fn class(error: &SqliteError) -> Class {
    // https://www.sqlite.org/rescode.html
    match code(error) {
        517 => Class::Serialization,             // BUSY_SNAPSHOT
        code if code & 0xff == 5 => Class::Busy, // BUSY and its kinds
        code if code & 0xff == 6 => Class::Busy, // LOCKED and its kinds
        17 => Class::Stale,                      // SCHEMA
        _ => Class::Other,
    }
}

/// A file that is not there is to opening what a server out of reach is; to a statement (ATTACH) it is an error like another.
pub(super) fn class_of_connecting(error: &SqliteError) -> Class {
    match code(error) & 0xff {
        14 => Class::Connection, // CANTOPEN and its kinds
        _ => class(error),
    }
}

fn code(error: &SqliteError) -> u32 {
    let code = DatabaseError::code(error).and_then(|code| code.parse().ok());
    code.unwrap_or_default()
}

/// The driver names the place in its source. There is no protocol that could go wrong.
pub(super) fn is_of_the_program(text: &str) -> bool {
    text.contains("(sqlx_sqlite::")
}
