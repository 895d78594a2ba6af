//! What runs on a session: the user's statements, which are looked at before, and the runtime's own
//! queries.
//!
//! The driver counts transactions that are begun through it. The runtime begins its own with plain
//! SQL, so the driver's count is 0 for them, except while the raw connection of a transaction is
//! lent to the user. See "Why it is done this way" in ARCHITECTURE.md.

use futures_util::{TryFutureExt, TryStreamExt};
use sqlx::{Connection, SqlSafeStr};

use super::pooled::Pooled;
use crate::engine::{Engine, Place, statement};
use crate::model::error::Error;
use crate::model::untracked::{Reach, Untracked};
use crate::pool::Session;
use crate::pool::executor::{By, Rows, operate};

/// The error of a transaction that should have ended and did not.
const NOT_ENDED: &str = "the server goes on with the transaction that was to end";

impl<DB: Engine> Session<DB> {
    /// Prepares the session for a statement of the user's in autocommit mode: reads what is left of
    /// the last exchange, and notes what the statement may do unseen. Fails if the statement is not
    /// allowed here.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the session such that calling it again goes on from there.
    pub(crate) async fn ready(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let reach = statement::check::<DB>(sql, Place::Session, self.db.options())
            .map_err(|why| Error::refused("a session in autocommit mode", why))?;
        if !self.state.is_idle() {
            let drained = self.read_on().await;
            self.release_if_broken();
            drained?;
        }
        self.look_at_schema(sql).await?;
        self.note_statement(sql, reach);
        Ok(())
    }

    /// Notes all that a statement may change on the session. It has passed every check, and is
    /// going to be sent.
    #[inline]
    pub(crate) fn note_statement(&mut self, sql: &str, reach: Reach) {
        if statement::sets_limits::<DB>(sql) {
            self.forget_limits();
        }
        if let Some(untracked) = Untracked::statement(sql, reach) {
            self.state.suspects(untracked);
        }
        self.look_for_leftovers(sql);
        self.activity().count_statement();
    }

    /// Runs a statement and ignores its rows.
    pub(crate) async fn run(&mut self, sql: impl SqlSafeStr) -> Result<(), sqlx::Error> {
        let sql = sql.into_sql_str();
        let rows = operate(self, None, By::Runtime, |on| DB::fetch_optional(on, sql)).await;
        rows.map(drop)
    }

    /// Runs a query and calls `read` for each row.
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

    /// Runs the SQL that ends a transaction.
    ///
    /// On some engines it is passed to the driver as the SQL that begins one (`begin_with`),
    /// because the driver runs nothing more cheaply, and reports afterwards whether the connection
    /// is inside of a transaction. `BeginFailed` (it is not) is the answer that is wanted here.
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
                // The driver now counts the transaction, and rolls it back in front of the next
                // statement. That exchange is outstanding.
                self.state.sent();
                Err(sqlx::Error::Protocol(NOT_ENDED.into()))
            }
        }
    }

    /// Returns true if the driver counts a transaction of its own on the connection: the one that
    /// was lent to the user, or one that the user has begun and left open there.
    #[inline]
    pub(crate) fn is_counted_by_the_driver(&self) -> bool {
        let counted = |pooled: &Pooled<DB>| pooled.connection.is_in_transaction();
        self.pooled.as_deref().is_some_and(counted)
    }

    /// Makes the driver count the open transaction as its own, so that a transaction that is begun
    /// through the connection becomes a savepoint. Does nothing if the driver counts it already.
    ///
    /// This takes one round trip, and fails with [`sqlx::Error::BeginFailed`] if no transaction is
    /// open.
    pub(crate) async fn let_the_driver_count(&mut self) -> Result<(), sqlx::Error> {
        if self.is_counted_by_the_driver() {
            return Ok(());
        }
        // The driver's guard is forgotten, because its drop would roll back.
        operate(self, None, By::Runtime, |on| {
            on.begin_with(DB::NOTHING).map_ok(std::mem::forget)
        })
        .await
    }
}
