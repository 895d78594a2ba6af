//! Finds a forgotten bind before the statement is sent.

use sqlx::mysql::{MySql, MySqlConnection};
use sqlx::{Either, Executor, Statement as _};

use crate::engine::statement::Statement;
use crate::model::error::class::mysql::MISCOUNTED;

/// Returns how many placeholders a text has at most: a `?` inside of a literal is counted too.
pub(super) fn placeholders(sql: &str) -> usize {
    sql.bytes().filter(|byte| *byte == b'?').count()
}

/// Asks the server how many placeholders the statement has, and fails if that is not how many binds
/// were `given`. The error has the text that sqlx would have given it.
pub(super) async fn refuse_miscounted(
    connection: &mut MySqlConnection,
    statement: &Statement<MySql>,
    given: usize,
) -> Result<(), sqlx::Error> {
    let prepared = connection.prepare(statement.sql().clone()).await?;
    match prepared.parameters() {
        Some(Either::Right(expected)) if expected != given => Err(sqlx::Error::Protocol(format!(
            "{MISCOUNTED}{expected} parameters but {given} parameters were provided"
        ))),
        _ => Ok(()),
    }
}
