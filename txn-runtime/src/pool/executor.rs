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
use crate::model::conflicts::ConflictHistory;
use crate::model::error::{Cause, Class};
use crate::model::transaction::{Effect, State};
use crate::observe::scopes::Busy;
use crate::pool::Session;
use crate::pool::session::Hold;

/// Who sent a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    User,
    Runtime,
}

/// The answer to one statement, step by step.
///
/// Each poll writes the state of the wire before and after it asks the driver. The state is
/// therefore true whenever the stream is dropped (invariant 2).
pub(crate) struct Rows<'a, DB: Engine> {
    steps: BoxStream<'a, Result<Step<DB>, sqlx::Error>>,
    state: &'a mut State,
    conflicts: Option<&'a mut ConflictHistory>,
    by: By,
    hold: Hold<'a, DB>,
    busy: Busy<'a>,
}

impl<'a, DB: Engine> Rows<'a, DB> {
    pub(crate) fn new<'q: 'a>(
        session: &'a mut Session<DB>,
        query: impl Execute<'q, DB> + 'q,
        conflicts: Option<&'a mut ConflictHistory>,
        by: By,
    ) -> Self {
        let (connection, state, hold, busy) = session.split();
        let steps = DB::fetch_many(connection, query);
        Self {
            steps,
            state,
            conflicts,
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
        this.state.sent();
        let step = this.steps.as_mut().poll_next(cx);
        this.busy.waits(step.is_pending());
        match &step {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(_))) => this.state.row_read(),
            Poll::Ready(None) => this.state.answered(),
            Poll::Ready(Some(Err(error))) => {
                failed(
                    error,
                    this.state,
                    &mut this.conflicts,
                    this.by,
                    &mut this.hold,
                );
            }
        }
        step.map_err(|error| told(error, &this.conflicts))
    }
}

/// Runs an operation that yields one value, and keeps the state of the wire in the same way.
pub(crate) async fn operate<'a, T, DB: Engine, F>(
    session: &'a mut Session<DB>,
    mut conflicts: Option<&'a mut ConflictHistory>,
    by: By,
    operation: impl FnOnce(&'a mut DB::Connection) -> F,
) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let (connection, state, mut hold, mut busy) = session.split();
    state.sent();
    busy.waits(true);
    let result = operation(connection).await;
    match &result {
        Ok(_) => state.answered(),
        Err(error) => failed(error, state, &mut conflicts, by, &mut hold),
    }
    result.map_err(|error| told(error, &conflicts))
}

/// The error as the body gets it: it says how often the scope was tried.
#[cold]
fn told(error: sqlx::Error, conflicts: &Option<&mut ConflictHistory>) -> sqlx::Error {
    match conflicts {
        Some(conflicts) => conflicts.tell(error),
        None => error,
    }
}

/// Tells a transaction that a statement of it has failed. It learns of that here, so that it knows
/// even if the user swallows the error.
pub(crate) fn learns<DB: Engine>(
    state: &mut State,
    conflicts: &mut ConflictHistory,
    error: &sqlx::Error,
) {
    conflicts.meets(Class::of(error));
    let effect = match error {
        _ if DB::is_out_of_step(error) => Effect::Gone,
        sqlx::Error::Database(error) => DB::effect(&**error),
        _ => Effect::None,
    };
    state.failed(effect, || Cause::of(error));
}

fn failed<DB: Engine>(
    error: &sqlx::Error,
    state: &mut State,
    conflicts: &mut Option<&mut ConflictHistory>,
    by: By,
    hold: &mut Hold<'_, DB>,
) {
    if let Some(conflicts) = conflicts {
        learns::<DB>(state, conflicts, error);
    }
    hold.refused(error, state.access().read_only);
    if DB::is_out_of_step(error) {
        match by {
            By::User => hold.release(),
            By::Runtime => hold.release_unexplained(),
        }
        state.lost();
    } else if Class::of(error) == Class::Stale {
        state.outdated();
    } else {
        state.answered();
    }
}

/// Implements [`Executor`] for a reference, whose methods differ from those of any other only in
/// where a statement runs: each is given as an expression, with a name for `self` and for what is
/// to run.
macro_rules! executor {
    ($executor:ty, $this:ident, $run:ident, $parameters:ident:
     execute: $execute:expr,
     fetch_many: $fetch_many:expr,
     fetch_all: $fetch_all:expr,
     fetch_optional: $fetch_optional:expr,
     prepare_with: $prepare_with:expr,
     describe: $describe:expr,
    ) => {
        impl<'c, DB: Engine> Executor<'c> for $executor {
            type Database = DB;

            fn execute<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<DB::QueryResult, sqlx::Error>>
            where
                'c: 'e,
                E: Execute<'q, DB> + 'q,
            {
                let ($this, $run) = (self, Statement::new(query));
                Box::pin(async move { $execute })
            }

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxStream<'e, Result<Step<DB>, sqlx::Error>>
            where
                'c: 'e,
                E: Execute<'q, DB> + 'q,
            {
                let ($this, $run) = (self, Statement::new(query));
                Box::pin($fetch_many)
            }

            fn fetch_all<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Vec<DB::Row>, sqlx::Error>>
            where
                'c: 'e,
                E: Execute<'q, DB> + 'q,
            {
                let ($this, $run) = (self, Statement::new(query));
                Box::pin(async move { $fetch_all })
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Option<DB::Row>, sqlx::Error>>
            where
                'c: 'e,
                E: Execute<'q, DB> + 'q,
            {
                let ($this, $run) = (self, Statement::new(query));
                Box::pin(async move { $fetch_optional })
            }

            fn prepare_with<'e>(
                self,
                $run: SqlStr,
                $parameters: &'e [DB::TypeInfo],
            ) -> BoxFuture<'e, Result<DB::Statement, sqlx::Error>>
            where
                'c: 'e,
            {
                let $this = self;
                Box::pin(async move { $prepare_with })
            }

            fn describe<'e>(self, $run: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, sqlx::Error>>
            where
                'c: 'e,
            {
                let $this = self;
                Box::pin(async move { $describe })
            }
        }
    };
}

/// Makes an executor of what holds a session. It has `ready`, which decides whether a statement may
/// be sent, and `watched`, which gives the session and what learns of a failure.
macro_rules! executor_on_its_session {
    ($name:ident) => {
        executor! { &'c mut $name<DB>, this, run, parameters:
            execute: this.rows(run).await?.total().await,
            fetch_many: this.rows(run).try_flatten_stream(),
            fetch_all: this.rows(run).await?.all().await,
            fetch_optional: {
                this.ready(run.as_str()).await?;
                let (session, conflicts) = this.watched();
                let fetch = |connection| DB::fetch_optional(connection, run);
                operate(session, conflicts, By::User, fetch).await
            },
            prepare_with: {
                this.ready(run.as_str()).await?;
                let (session, conflicts) = this.watched();
                let prepare = |connection| DB::prepare_with(connection, run, parameters);
                operate(session, conflicts, By::User, prepare).await
            },
            describe: {
                this.ready(run.as_str()).await?;
                let (session, conflicts) = this.watched();
                let describe = |connection| DB::describe(connection, run);
                operate(session, conflicts, By::User, describe).await
            },
        }

        impl<DB: Engine> $name<DB> {
            pub(crate) async fn rows(
                &mut self,
                statement: Statement<DB>,
            ) -> Result<Rows<'_, DB>, sqlx::Error> {
                self.ready(statement.as_str()).await?;
                let (session, conflicts) = self.watched();
                Ok(Rows::new(session, statement, conflicts, By::User))
            }
        }
    };
}

pub(crate) use {executor, executor_on_its_session};

executor_on_its_session!(Session);
