//! Statements that are written once, with `?`, and run on every engine.

use futures_util::future::BoxFuture;
use sqlx::Executor;
use sqlx::query::Query;

use crate::engine::{Engine, Value};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// As `sqlx::query`, for any engine.
pub fn query<E: Engine>(text: impl Into<String>) -> Statement<E> {
    Statement(sqlx::query(E::sql(text.into())))
}

/// As `sqlx::query::Query`: of an engine that is known only where it runs.
#[must_use]
pub struct Statement<E: Engine>(Query<'static, E, E::Arguments>);

impl<E: Engine> Statement<E> {
    pub fn bind(self, value: impl Into<Value>) -> Self {
        Self(E::bind(self.0, value.into()))
    }

    /// How many rows it has changed.
    pub fn execute<'e, 'c: 'e>(
        self,
        executor: impl Executor<'c, Database = E> + 'e,
    ) -> BoxFuture<'e, Result<u64>> {
        Box::pin(async move { Ok(E::rows_affected(&executor.execute(self.0).await?)) })
    }

    /// The first columns of all rows.
    pub fn fetch_all<'e, 'c: 'e, const N: usize>(
        self,
        executor: impl Executor<'c, Database = E> + 'e,
    ) -> BoxFuture<'e, Result<Vec<[i64; N]>>> {
        Box::pin(async move {
            let rows = executor.fetch_all(self.0).await?;
            rows.iter().map(integers::<E, N>).collect()
        })
    }

    /// The one number that it asks for.
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
