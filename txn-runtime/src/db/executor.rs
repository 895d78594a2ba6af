//! `&Db` and `&Sandbox` as executors: each statement runs on a session of its own, which goes back
//! when the statement is done. In a sandbox, which has only one session, each statement is a scope.
//!
//! A stream takes its session when it is first polled, and holds it until the last row was read. If
//! the future or the stream of a statement is dropped before, the session is settled as after any
//! other drop.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryStreamExt;
use sqlx::{Describe, Execute, Executor, SqlStr};

use crate::engine::statement::Statement;
use crate::engine::{Engine, Step};
use crate::model::options::Options;
use crate::model::outcome::Verdict;
use crate::model::request::Request;
use crate::observe::trace::Trace;
use crate::pool::executor::{Rows, executor};
use crate::pool::{Db, Session};
use crate::tx::{Sandbox, Tx, end};

/// The options of the scope that a statement is in a sandbox.
static STATEMENT: Options = Options::new("a statement in autocommit mode");

/// The session that one statement runs on. Dropped in flight, the session is settled.
#[allow(
    clippy::large_enum_variant,
    reason = "outside of a sandbox it is always the large one, and a box would cost each statement \
              an allocation"
)]
enum Lease<DB: Engine> {
    /// A session in autocommit mode.
    Session(Session<DB>),
    /// A scope on the session of a sandbox. A statement that fails is undone alone, as it is
    /// outside of a sandbox.
    Sandboxed(Box<Tx<DB>>),
}

/// Runs an expression on the executor in a lease, whichever it is.
macro_rules! on {
    ($lease:expr, $it:ident => $run:expr) => {
        match &mut $lease {
            Lease::Session($it) => $run,
            Lease::Sandboxed(tx) => {
                let $it = &mut **tx;
                $run
            }
        }
    };
}

/// An executor that runs each statement in autocommit mode, from [`Db::autocommit`].
#[derive(Debug)]
pub struct Autocommit<'a, DB: Engine>(&'a Db<DB>);

impl<DB: Engine> Clone for Autocommit<'_, DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB: Engine> Copy for Autocommit<'_, DB> {}

impl<DB: Engine> Autocommit<'_, DB> {
    async fn lease(self, sql: &str) -> Result<Lease<DB>, sqlx::Error> {
        self.0.lease_anywhere(sql).await
    }
}

impl<DB: Engine> Db<DB> {
    /// Returns an executor that runs each statement in autocommit mode, also in the body of an
    /// annotated function that has a transaction of this handle open. The handle itself refuses to
    /// do that ([`DbBuilder::refuse_strays`](crate::DbBuilder::refuse_strays)).
    ///
    /// The statement is outside of that transaction: it is not undone with it, and does not see
    /// what it has written. It needs a session of its own beside that of the scope, for which a
    /// `reserve` may be needed. On SQLite it cannot write if the scope may write.
    ///
    /// ```
    /// # use txn_runtime::{Db, Error, Sqlite};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    /// let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(db.autocommit()).await?;
    /// # assert_eq!(one, 1);
    /// # Ok(()) }
    /// ```
    pub fn autocommit(&self) -> Autocommit<'_, DB> {
        Autocommit(self)
    }

    /// Takes the session that a statement of the user's with the text `sql` may run on, unless the
    /// task is in a scope.
    async fn lease(&self, sql: &str) -> Result<Lease<DB>, sqlx::Error> {
        self.refuse_stray()?;
        self.lease_anywhere(sql).await
    }

    /// Takes the session that a statement with the text `sql` may run on.
    async fn lease_anywhere(&self, sql: &str) -> Result<Lease<DB>, sqlx::Error> {
        if self.sandbox_session().is_none() {
            return Ok(Lease::Session(self.session_for(sql).await?));
        }
        // Outside of a sandbox a statement is not a scope, so it is not traced here either.
        let mut trace = Trace::none();
        let tx = Tx::begin(self, &Request::outside(&STATEMENT), &mut trace).await?;
        Ok(Lease::Sandboxed(tx))
    }
}

impl<DB: Engine> Lease<DB> {
    /// Starts a row stream.
    async fn rows(&mut self, statement: Statement<DB>) -> Result<Rows<'_, DB>, sqlx::Error> {
        on!(*self, it => it.rows(statement).await)
    }

    /// Ends the scope of the statement, if it has one, and returns its result.
    async fn end<T>(self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if let Self::Sandboxed(tx) = self {
            let verdict = match result {
                Ok(_) => Verdict::Commit,
                Err(_) => Verdict::Rollback,
            };
            end(tx, verdict.into()).await?;
        }
        result
    }
}

/// Makes an executor of a handle, with a session for each statement.
macro_rules! executor_on_any_session {
    ($handle:ty) => {
        executor! { $handle, this, run, parameters:
            execute: {
                let mut lease = this.lease(run.as_str()).await?;
                let result = on!(lease, it => it.execute(run).await);
                lease.end(result).await
            },
            fetch_many: async_stream::try_stream! {
                let mut lease = this.lease(run.as_str()).await?;
                let mut rows = lease.rows(run).await?;
                while let Some(step) = rows.try_next().await? {
                    yield step;
                }
                drop(rows);
                lease.end(Ok(())).await?;
            },
            fetch_all: {
                let mut lease = this.lease(run.as_str()).await?;
                let result = on!(lease, it => it.fetch_all(run).await);
                lease.end(result).await
            },
            fetch_optional: {
                let mut lease = this.lease(run.as_str()).await?;
                let result = on!(lease, it => it.fetch_optional(run).await);
                lease.end(result).await
            },
            prepare_with: {
                let mut lease = this.lease(ONLY_READS).await?;
                let result = on!(lease, it => it.prepare_with(run, parameters).await);
                lease.end(result).await
            },
            describe: {
                let mut lease = this.lease(ONLY_READS).await?;
                let result = on!(lease, it => it.describe(run).await);
                lease.end(result).await
            },
        }
    };
}

/// The SQL to take a session for if a statement is only prepared or described: a statement that
/// reads, so that nobody waits for the turn to write.
const ONLY_READS: &str = "SELECT";

executor_on_any_session!(&'c Db<DB>);
executor_on_any_session!(&'c Sandbox<DB>);
executor_on_any_session!(Autocommit<'c, DB>);
