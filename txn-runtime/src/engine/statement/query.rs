//! A query of the user's, as it is passed on to the driver.

#[cfg(feature = "mysql")]
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::{Database, Execute, SqlStr};

use crate::engine::Engine;

/// A statement, taken out of an [`Execute`], which hands its SQL out only by value.
pub(crate) struct Statement<DB: Database> {
    /// The text, as the user wrote it.
    sql: SqlStr,
    /// The prepared statement, if the user has prepared it.
    prepared: Option<DB::Statement>,
    /// The binds; `None` after they were taken.
    arguments: Option<Result<Option<DB::Arguments>, BoxDynError>>,
    /// The driver may keep it prepared.
    persistent: bool,
}

impl<DB: Engine> Statement<DB> {
    /// Takes the statement out of `query`.
    pub(crate) fn new<'q, E: Execute<'q, DB>>(mut query: E) -> Self {
        let prepared = query.statement().cloned();
        let arguments = Some(query.take_arguments());
        let persistent = query.persistent();
        let sql = query.sql();
        Self {
            prepared,
            arguments,
            persistent: persistent && DB::may_keep_prepared(sql.as_str()),
            sql,
        }
    }

    /// The text of the statement.
    pub(crate) fn as_str(&self) -> &str {
        self.sql.as_str()
    }

    /// The text of the statement, as sqlx shares it.
    #[cfg(feature = "mysql")]
    pub(crate) fn sql(&self) -> &SqlStr {
        &self.sql
    }

    /// Returns how many binds there are; `None` for a statement that is sent as a plain text.
    #[cfg(feature = "mysql")]
    pub(crate) fn binds(&self) -> Option<usize> {
        match &self.arguments {
            Some(Ok(Some(arguments))) => Some(arguments.len()),
            _ => None,
        }
    }
}

impl<DB: Database> Execute<'_, DB> for Statement<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        self.prepared.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        self.arguments.take().unwrap_or(Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
