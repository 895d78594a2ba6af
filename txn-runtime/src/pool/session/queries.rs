//! Queries of the runtime's own.

use futures_util::{TryFutureExt, TryStreamExt};
use sqlx::{AssertSqlSafe, Connection, SqlSafeStr};
use sqlx_core::transaction::TransactionManager;

use super::pooled::Pooled;
use crate::engine::Engine;
use crate::pool::Session;
use crate::pool::executor::{By, Rows, operate};

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
        if !DB::ENDS_CHEAPLY || self.bounds.are_a_savepoint() || self.is_counted_by_the_driver() {
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
                self.state.sent();
                Err(sqlx::Error::Protocol(NOT_ENDED.into()))
            }
        }
    }

    /// Whether the driver counts a transaction of its own on the connection: the one that was
    /// lent to it, or one that the user has begun through it and left there.
    #[inline]
    pub(crate) fn is_counted_by_the_driver(&self) -> bool {
        let counted = |pooled: &Pooled<DB>| pooled.connection.is_in_transaction();
        self.pooled.as_deref().is_some_and(counted)
    }

    /// Has the driver count the open transaction among its own: what is begun through the
    /// connection from now on nests. It may be one already.
    ///
    /// The driver says in one round trip whether there is a transaction at all
    /// ([`sqlx::Error::BeginFailed`] if there is none).
    pub(crate) async fn let_the_driver_count(&mut self) -> Result<(), sqlx::Error> {
        if self.is_counted_by_the_driver() {
            return Ok(());
        }
        // Forgotten: dropped, it would roll back.
        operate(self, None, By::Runtime, |on| {
            on.begin_with(DB::NOTHING).map_ok(std::mem::forget)
        })
        .await
    }

    /// Has it count none, outside of a transaction.
    ///
    /// The driver lowers its count only with the end of a level on the server, so that there have
    /// to be as many levels to end.
    pub(crate) async fn let_the_driver_count_none(&mut self) -> Result<(), sqlx::Error> {
        let levels = DB::TransactionManager::get_transaction_depth(self.raw());
        if levels == 0 {
            return Ok(());
        }
        self.run("BEGIN").await?;
        for level in 1..levels {
            let savepoint = format!("SAVEPOINT _sqlx_savepoint_{level}");
            self.run(AssertSqlSafe(savepoint)).await?;
        }
        for _ in 0..levels {
            operate(self, None, By::Runtime, DB::TransactionManager::rollback).await?;
        }
        Ok(())
    }
}
