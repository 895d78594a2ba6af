//! What the errors of MySQL and MariaDB mean.

use sqlx::error::DatabaseError;
use sqlx::mysql::{MySql, MySqlDatabaseError};

use crate::engine::{Codes, Refusal};
use crate::model::error::Class;
use crate::model::error::class::mysql::{
    CHECKREAD, DEADLOCK, LOCK_TABLE_FULL, LOCK_WAIT_TIMEOUT, is_of_the_program,
};
use crate::model::transaction::Effect;

/// Error numbers: <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
const NO_SUCH_THREAD: u16 = 1094;
const TOO_MANY_CONNECTIONS: u16 = 1040;
pub(super) const SAVEPOINT_DOES_NOT_EXIST: u16 = 1305;
const PREVENTED_BY_OPTION: u16 = 1290;
const READ_ONLY_TRANSACTION: u16 = 1792;
const READ_ONLY_MODE: u16 = 1836;
/// A storage engine could not commit, and the server does not say how far it came.
const ERROR_DURING_COMMIT: u16 = 1180;
/// The same on `TiDB`, which speaks the same protocol.
const RESULT_UNDETERMINED: u16 = 8501;

/// A table, a variable or a function is missing or turned off on this server, or forbidden for this
/// account.
const NOT_TO_BE_ASKED: [u16; 10] = [1109, 1142, 1143, 1146, 1193, 1227, 1305, 1370, 1682, 3167];

/// The options that [`PREVENTED_BY_OPTION`] names on a read-only server.
const READ_ONLY_OPTIONS: &[&str] = &["read-only", "read_only"];

impl Codes for MySql {
    /// `ER_STATEMENT_TIMEOUT` on MariaDB, `ER_QUERY_TIMEOUT` on MySQL.
    const TOO_LONG: &'static [&'static str] = &["1969", "3024"];

    fn refuses_greeting(error: &dyn DatabaseError) -> bool {
        NOT_TO_BE_ASKED.contains(&number(error))
    }

    fn is_gone(error: &dyn DatabaseError) -> bool {
        number(error) == NO_SUCH_THREAD
    }

    fn may_connect_soon(error: &dyn DatabaseError) -> bool {
        number(error) == TOO_MANY_CONNECTIONS
    }

    fn only_reads(error: &dyn DatabaseError) -> bool {
        match number(error) {
            READ_ONLY_TRANSACTION | READ_ONLY_MODE => true,
            // The message names the option in every language.
            PREVENTED_BY_OPTION => READ_ONLY_OPTIONS
                .iter()
                .any(|option| error.message().contains(option)),
            _ => false,
        }
    }

    /// Most errors undo their statement alone.
    fn effect(error: &dyn DatabaseError) -> Effect {
        match number(error) {
            DEADLOCK | LOCK_TABLE_FULL | CHECKREAD => Effect::Gone,
            // With innodb_rollback_on_timeout the server rolls the whole transaction back.
            LOCK_WAIT_TIMEOUT => Effect::Doubt,
            _ => Effect::None,
        }
    }

    fn refused_commit(error: &dyn DatabaseError) -> Option<Refusal> {
        (number(error) == SAVEPOINT_DOES_NOT_EXIST).then_some(Refusal::Ended)
    }

    fn ended_by_failed_commit(_error: &dyn DatabaseError) -> bool {
        false
    }

    fn leaves_commit_open(error: &dyn DatabaseError) -> bool {
        matches!(number(error), ERROR_DURING_COMMIT | RESULT_UNDETERMINED)
            || matches!(error.code().as_deref(), Some("40003" | "08007"))
    }

    fn is_out_of_step(error: &sqlx::Error) -> bool {
        match error {
            // sqlx now waits for the answer to a statement that it has not sent.
            sqlx::Error::Protocol(text) if is_of_the_program(text) => {
                text.contains("(sqlx_mysql::")
            }
            error => Class::of(error).is_loss(),
        }
    }
}

/// The number of the error; 0 if it is not one of MySQL.
pub(super) fn number(error: &dyn DatabaseError) -> u16 {
    error
        .try_downcast_ref::<MySqlDatabaseError>()
        .map_or(0, MySqlDatabaseError::number)
}
