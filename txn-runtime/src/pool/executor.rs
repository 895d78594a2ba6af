//! Running the user's statements: `&mut Tx`, `&mut Session` and `&Db` are sqlx executors.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{TryFutureExt, TryStreamExt};
use sqlx::{Describe, Either, Execute, Executor, SqlStr};

use crate::engine::statement::Statement;
use crate::engine::{Engine, Step};
use crate::model::course::Course;
use crate::model::error::{Cause, Class};
use crate::model::transaction::{Effect, Health, Wire};
use crate::observe::scopes::Busy;
use crate::pool::Session;
use crate::pool::session::Hold;

/// Sees to it that a transaction learns of its failed statements, even if the user swallows the error.
pub(crate) struct Watch<'a> {
    pub(crate) health: &'a mut Health,
    pub(crate) course: &'a mut Course,
}

impl Watch<'_> {
    pub(crate) fn failed<DB: Engine>(&mut self, error: &sqlx::Error) {
        self.course.meets(Class::of(error));
        let effect = match error {
            _ if DB::is_out_of_step(error) => Effect::Gone,
            sqlx::Error::Database(error) => DB::effect(&**error),
            _ => Effect::None,
        };
        self.health.after(effect, || Cause::of(error));
    }
}

/// Whose statement it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    User,
    Runtime,
}

/// The answer to one statement, step by step. Keeps the wire's state true whenever it is dropped (invariant 2).
pub(crate) struct Rows<'a, DB: Engine> {
    steps: BoxStream<'a, Result<Step<DB>, sqlx::Error>>,
    wire: &'a mut Wire,
    watch: Option<Watch<'a>>,
    by: By,
    hold: Hold<'a, DB>,
    busy: Busy<'a>,
}

impl<'a, DB: Engine> Rows<'a, DB> {
    pub(crate) fn new<'q: 'a>(
        session: &'a mut Session<DB>,
        query: impl Execute<'q, DB> + 'q,
        watch: Option<Watch<'a>>,
        by: By,
    ) -> Self {
        let (connection, wire, hold, busy) = session.split();
        let steps = DB::fetch_many(connection, query);
        Self {
            steps,
            wire,
            watch,
            by,
            hold,
            busy,
        }
    }

    pub(crate) async fn total(mut self) -> Result<DB::QueryResult, sqlx::Error> {
        let mut total = DB::QueryResult::default();
        while let Some(step) = self.try_next().await? {
            if let Either::Left(result) = step {
                total.extend([result]);
            }
        }
        Ok(total)
    }

    pub(crate) async fn all(mut self) -> Result<Vec<DB::Row>, sqlx::Error> {
        let mut rows = Vec::new();
        while let Some(step) = self.try_next().await? {
            if let Either::Right(row) = step {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

impl<DB: Engine> Stream for Rows<'_, DB> {
    type Item = Result<Step<DB>, sqlx::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        *this.wire = Wire::Busy;
        let step = this.steps.as_mut().poll_next(cx);
        this.busy.waits(step.is_pending());
        *this.wire = match &step {
            Poll::Pending => Wire::Busy,
            Poll::Ready(Some(Ok(_))) => Wire::Partial,
            Poll::Ready(None) => Wire::Idle,
            Poll::Ready(Some(Err(error))) => {
                wire_after(error, &mut this.watch, this.by, &mut this.hold)
            }
        };
        step.map_err(|error| told(error, &this.watch))
    }
}

/// An operation that yields one value, with the same care.
pub(crate) async fn operate<'a, T, DB: Engine, F>(
    session: &'a mut Session<DB>,
    mut watch: Option<Watch<'a>>,
    by: By,
    operation: impl FnOnce(&'a mut DB::Connection) -> F,
) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let (connection, wire, mut hold, mut busy) = session.split();
    *wire = Wire::Busy;
    busy.waits(true);
    let result = operation(connection).await;
    *wire = match &result {
        Ok(_) => Wire::Idle,
        Err(error) => wire_after(error, &mut watch, by, &mut hold),
    };
    result.map_err(|error| told(error, &watch))
}

/// As the body gets it.
#[cold]
fn told(error: sqlx::Error, watch: &Option<Watch<'_>>) -> sqlx::Error {
    match watch {
        Some(watch) => watch.course.tell(error),
        None => error,
    }
}

fn wire_after<DB: Engine>(
    error: &sqlx::Error,
    watch: &mut Option<Watch<'_>>,
    by: By,
    hold: &mut Hold<'_, DB>,
) -> Wire {
    if let Some(watch) = watch {
        watch.failed::<DB>(error);
    }
    hold.refused(error);
    match DB::is_out_of_step(error) {
        true => {
            // The runtime's own statements are followed by what becomes of the session.
            if by == By::User {
                hold.release();
            }
            Wire::Broken
        }
        false if Class::of(error) == Class::Stale => Wire::Stale,
        false => Wire::Idle,
    }
}

/// Both have `ready`, which decides whether a statement may be sent, and `watched`.
macro_rules! executor_for {
    ($name:ident) => {
        impl<'c, DB: Engine> Executor<'c> for &'c mut $name<DB> {
            type Database = DB;

            fn execute<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<DB::QueryResult, sqlx::Error>>
            where
                'c: 'e,
                E: Execute<'q, DB> + 'q,
            {
                let statement = Statement::new(query);
                Box::pin(async move { self.rows(statement).await?.total().await })
            }

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxStream<'e, Result<Step<DB>, sqlx::Error>>
            where
                'c: 'e,
                E: Execute<'q, DB> + 'q,
            {
                let statement = Statement::new(query);
                Box::pin(self.rows(statement).try_flatten_stream())
            }

            fn fetch_all<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Vec<DB::Row>, sqlx::Error>>
            where
                'c: 'e,
                E: Execute<'q, DB> + 'q,
            {
                let statement = Statement::new(query);
                Box::pin(async move { self.rows(statement).await?.all().await })
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
                    self.ready(statement.as_str()).await?;
                    let (session, watch) = self.watched();
                    operate(session, watch, By::User, |connection| {
                        DB::fetch_optional(connection, statement)
                    })
                    .await
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
                Box::pin(async move {
                    self.ready(sql.as_str()).await?;
                    let (session, watch) = self.watched();
                    operate(session, watch, By::User, |connection| {
                        DB::prepare_with(connection, sql, parameters)
                    })
                    .await
                })
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, sqlx::Error>>
            where
                'c: 'e,
            {
                Box::pin(async move {
                    self.ready(sql.as_str()).await?;
                    let (session, watch) = self.watched();
                    operate(session, watch, By::User, |connection| {
                        DB::describe(connection, sql)
                    })
                    .await
                })
            }
        }

        impl<DB: Engine> $name<DB> {
            pub(crate) async fn rows(
                &mut self,
                statement: Statement<DB>,
            ) -> Result<Rows<'_, DB>, sqlx::Error> {
                self.ready(statement.as_str()).await?;
                let (session, watch) = self.watched();
                Ok(Rows::new(session, statement, watch, By::User))
            }
        }
    };
}

pub(crate) use executor_for;

executor_for!(Session);
