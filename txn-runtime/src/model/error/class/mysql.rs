//! The classes of MySQL's and MariaDB's errors, by their number.

use sqlx::mysql::MySqlDatabaseError;

use super::Class;

pub(crate) const LOCK_WAIT_TIMEOUT: u16 = 1205;
pub(crate) const LOCK_TABLE_FULL: u16 = 1206;
pub(crate) const DEADLOCK: u16 = 1213;
const UNKNOWN_STATEMENT: u16 = 1243;
const NEED_REPREPARE: u16 = 1615;
/// MySQL: the server closed the connection because it was idle for longer than `wait_timeout`.
const CLIENT_INTERACTION_TIMEOUT: u16 = 4031;
/// MariaDB: a row changed since the snapshot was taken. The server rolls back, as for a deadlock.
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

/// Returns whether a protocol error of the driver is about more or fewer binds than placeholders.
pub(crate) fn is_of_the_program(text: &str) -> bool {
    text.starts_with(MISCOUNTED)
}
