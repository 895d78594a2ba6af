//! Statements that are written once, with `?`, and run on every engine.

use futures_util::future::BoxFuture;
use sqlx::Executor;
use sqlx::query::Query;

use crate::engine::{Engine, Value};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Creates a statement as `sqlx::query` does, for any engine.
pub fn query<E: Engine>(text: impl Into<String>) -> Statement<E> {
    Statement(sqlx::query(E::sql(text.into())))
}

/// A statement like `sqlx::query::Query`, for code that is generic over the engine.
#[must_use]
pub struct Statement<E: Engine>(Query<'static, E, E::Arguments>);

impl<E: Engine> Statement<E> {
    pub fn bind(self, value: impl Into<Value>) -> Self {
        Self(E::bind(self.0, value.into()))
    }

    /// Runs the statement, and returns the number of rows that it changed.
    pub fn execute<'e, 'c: 'e>(
        self,
        executor: impl Executor<'c, Database = E> + 'e,
    ) -> BoxFuture<'e, Result<u64>> {
        Box::pin(async move { Ok(E::rows_affected(&executor.execute(self.0).await?)) })
    }

    /// Returns the first `N` columns of all rows.
    pub fn fetch_all<'e, 'c: 'e, const N: usize>(
        self,
        executor: impl Executor<'c, Database = E> + 'e,
    ) -> BoxFuture<'e, Result<Vec<[i64; N]>>> {
        Box::pin(async move {
            let rows = executor.fetch_all(self.0).await?;
            rows.iter().map(integers::<E, N>).collect()
        })
    }

    /// Returns the first column of the only row.
    pub fn fetch_one<'e, 'c: 'e>(
        self,
        executor: impl Executor<'c, Database = E> + 'e,
    ) -> BoxFuture<'e, Result<i64>> {
        Box::pin(async move { E::integer(&executor.fetch_one(self.0).await?, 0) })
    }
}

fn integers<E: Engine, const N: usize>(row: &E::Row) -> Result<[i64; N]> {
    let mut columns = [0; N];
    for (at, column) in columns.iter_mut().enumerate() {
        *column = E::integer(row, at)?;
    }
    Ok(columns)
}
