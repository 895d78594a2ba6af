//! `&Db` as an executor.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryStreamExt;
use sqlx::{Describe, Execute, Executor, SqlStr};

use crate::Db;
use crate::engine::{Engine, Step};
use crate::statement::Statement;

/// Autocommit: a session for the one statement.
impl<'c, DB: Engine> Executor<'c> for &'c Db<DB> {
    type Database = DB;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DB::QueryResult, sqlx::Error>>
    where
        'c: 'e,
        E: Execute<'q, DB> + 'q,
    {
        let statement = Statement::new(query);
        Box::pin(async move {
            let mut session = self.session_for(statement.as_str()).await?;
            session.execute(statement).await
        })
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step<DB>, sqlx::Error>>
    where
        'c: 'e,
        E: Execute<'q, DB> + 'q,
    {
        let statement = Statement::new(query);
        Box::pin(async_stream::try_stream! {
            let mut session = self.session_for(statement.as_str()).await?;
            let mut rows = session.rows(statement).await?;
            while let Some(step) = rows.try_next().await? {
                yield step;
            }
        })
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<DB::Row>, sqlx::Error>>
    where
        'c: 'e,
        E: Execute<'q, DB> + 'q,
    {
        let statement = Statement::new(query);
        Box::pin(async move {
            let mut session = self.session_for(statement.as_str()).await?;
            session.fetch_all(statement).await
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, sqlx::Error>>
    where
        'c: 'e,
        E: Execute<'q, DB> + 'q,
    {
        let statement = Statement::new(query);
        Box::pin(async move {
            let mut session = self.session_for(statement.as_str()).await?;
            session.fetch_optional(statement).await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.session().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.session().await?.describe(sql).await })
    }
}
