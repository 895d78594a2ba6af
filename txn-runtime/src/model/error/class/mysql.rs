//! What the errors of MySQL and MariaDB mean.

use sqlx::mysql::MySqlDatabaseError;

use super::Class;

const LOCK_WAIT_TIMEOUT: u16 = 1205;
const LOCK_TABLE_FULL: u16 = 1206;
const DEADLOCK: u16 = 1213;
const UNKNOWN_STATEMENT: u16 = 1243;
const NEED_REPREPARE: u16 = 1615;
/// MySQL: the client was idle for longer than `wait_timeout`.
const CLIENT_INTERACTION_TIMEOUT: u16 = 4031;
/// MariaDB: a row changed since the snapshot was taken; rolls back like a deadlock.
const CHECKREAD: u16 = 1020;

/// Begins the error of a statement that was given fewer binds than it has places for, or more.
pub(crate) const MISCOUNTED: &str = "prepared statement expected ";

pub(super) fn code(error: &MySqlDatabaseError) -> String {
    error.number().to_string()
}

pub(super) fn class(error: &MySqlDatabaseError) -> Class {
    match error.number() {
        DEADLOCK => Class::Deadlock,
        CHECKREAD => Class::Serialization,
        LOCK_WAIT_TIMEOUT | LOCK_TABLE_FULL => Class::Busy,
        NEED_REPREPARE => Class::Stale,
        // One of the driver's, as opposed to one of a user's EXECUTE.
        UNKNOWN_STATEMENT if error.message().contains("mysqld_stmt") => Class::Stale,
        // server shutdown in progress, normal shutdown, aborting, killed
        1053 | 1077 | 1152 | 1927 => Class::Connection,
        CLIENT_INTERACTION_TIMEOUT => Class::HungUp,
        _ => Class::Other,
    }
}

/// Fewer binds than there are places for, or more.
pub(crate) fn is_of_the_program(text: &str) -> bool {
    text.starts_with(MISCOUNTED)
}
