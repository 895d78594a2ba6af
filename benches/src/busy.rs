//! Recognises the error with which SQLite refuses a transaction because another one is writing.

use anyhow::Error;

/// Returns whether the error is, or is caused by, `SQLITE_BUSY`, as reported by txn, sqlx or
/// rusqlite.
pub fn is_busy(error: &Error) -> bool {
    error.chain().any(|cause| {
        let code = cause
            .downcast_ref::<sqlx::Error>()
            .and_then(sqlx::Error::as_database_error)
            .and_then(|error| error.code().map(|code| code.into_owned()));
        let sqlx = code.and_then(|code| code.parse::<i32>().ok());
        let rusqlite = cause
            .downcast_ref::<rusqlite::Error>()
            .and_then(rusqlite::Error::sqlite_error)
            .map(|error| error.extended_code);
        sqlx.or(rusqlite)
            .is_some_and(|code| code & 0xff == rusqlite::ffi::SQLITE_BUSY)
    })
}
