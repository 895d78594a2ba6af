//! Queries of the runtime's own.

use futures_util::{TryFutureExt, TryStreamExt};
use sqlx::{Connection, SqlSafeStr};

use super::pooled::Pooled;
use crate::Session;
use crate::engine::{Engine, Wire};
use crate::executor::{By, Rows, operate};

const NOT_ENDED: &str = "the server goes on with the transaction that was to end";

impl<DB: Engine> Session<DB> {
    /// Runs one.
    pub(crate) async fn run(&mut self, sql: impl SqlSafeStr) -> Result<(), sqlx::Error> {
        let sql = sql.into_sql_str();
        let rows = operate(self, None, By::Runtime, |on| DB::fetch_optional(on, sql)).await;
        rows.map(drop)
    }

    /// Runs one, and lets `read` see its rows.
    pub(crate) async fn ask(
        &mut self,
        sql: impl SqlSafeStr,
        mut read: impl FnMut(&DB::Row),
    ) -> Result<(), sqlx::Error> {
        let mut steps = Rows::new(self, sql.into_sql_str(), None, By::Runtime);
        while let Some(step) = steps.try_next().await? {
            if let Some(row) = step.right() {
                read(&row);
            }
        }
        Ok(())
    }

    /// Runs what ends a transaction.
    ///
    /// As if it were to begin one: the driver runs nothing cheaper than that, and says afterwards whether the connection is
    /// inside of a transaction. Only if it still were would the driver count it among its own.
    pub(crate) async fn end(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        let sql = sql.into_sql_str();
        if !DB::ENDS_CHEAPLY || self.is_counted_by_the_driver() {
            return self.run(sql).await;
        }
        match operate(self, None, By::Runtime, |on| {
            on.begin_with(sql).map_ok(drop)
        })
        .await
        {
            Err(sqlx::Error::BeginFailed) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                // What the driver has begun it rolls back along with what comes next.
                self.wire = Wire::Busy;
                Err(sqlx::Error::Protocol(NOT_ENDED.into()))
            }
        }
    }

    /// The user has begun one through the raw connection, and left it there.
    fn is_counted_by_the_driver(&self) -> bool {
        let counted = |pooled: &Pooled<DB>| pooled.connection.is_in_transaction();
        self.pooled.as_deref().is_some_and(counted)
    }
}
