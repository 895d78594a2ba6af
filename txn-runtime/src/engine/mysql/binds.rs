//! A bind that was forgotten is found before the statement is sent.

use sqlx::mysql::{MySql, MySqlConnection};
use sqlx::{Either, Executor, Statement as _};

use crate::engine::statement::Statement;
use crate::model::error::class::mysql::MISCOUNTED;

/// For how many binds there may be a place: what stands in a literal is counted, too.
pub(super) fn places(sql: &str) -> usize {
    sql.bytes().filter(|byte| *byte == b'?').count()
}

/// The server knows for how many there is one.
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
