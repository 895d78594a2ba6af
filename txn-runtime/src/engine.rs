//! What differs between PostgreSQL, MySQL/MariaDB and SQLite, and nothing else.
//!
//! [`Engine`] is the one trait that others name: the SQL of transactions, and what the driver needs
//! to be helped with. It has four parts, which are traits of their own so that each is in one file
//! per engine:
//!
//! | trait | says |
//! |---|---|
//! | [`Codes`] | what errors mean |
//! | [`Controlled`] | how a session and a transaction are reached from outside |
//! | [`Resets`] | what users leave on a session, and how it is reset |
//! | [`StatementRules`] | which statements do more than they say |
//!
//! The implementations decide nothing about sessions or scopes. Methods that take a connection run
//! one exchange on it: if their future is dropped, the exchange is left in flight, and the caller
//! has noted that before (invariant 2).

use std::borrow::Cow;
use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::database::HasStatementCache;
use sqlx::{ConnectOptions, Connection, Database, Describe, Either, Execute, SqlStr};

mod backend;
pub(crate) mod clock;
mod codes;
mod control;
mod greeting;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod resets;
mod round_trip;
#[cfg(feature = "sqlite")]
mod sqlite;
pub(crate) mod statement;

pub(crate) use self::backend::{
    Backend, Target, cancel_at_large, dropped_in_flight, left_to_its_server, timed_out,
};
pub(crate) use self::codes::{Codes, Refusal};
pub(crate) use self::control::{Controlled, Verified};
pub(crate) use self::greeting::Greeting;
pub(crate) use self::resets::{AsOpened, Renewal, Resets};
pub(crate) use self::round_trip::RoundTrip;
pub(crate) use self::statement::{Place, StatementRules};
use crate::model::options::{Lacks, Options};
use crate::model::transaction::{Access, Wire};

/// The connect options of an engine, as sqlx has them.
pub type ConnectOptionsOf<DB> = <<DB as Database>::Connection as Connection>::Options;

/// One step of an answer: the end of a statement, or a row.
pub(crate) type Step<DB> = Either<<DB as Database>::QueryResult, <DB as Database>::Row>;

/// The time limits in milliseconds that a session has without a transaction; 0 is none.
///
/// On PostgreSQL they have to be known before BEGIN sets a limit for the transaction, because that
/// limit must never be longer than the session's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    /// The limit of a statement.
    pub(crate) statement: u64,
    /// How long the session may be idle in a transaction.
    pub(crate) idle: u64,
}

/// A database that transactions can run on: [`Postgres`](sqlx::Postgres), [`MySql`](sqlx::MySql)
/// (and MariaDB), [`Sqlite`](sqlx::Sqlite).
///
/// The trait is sealed, and its items are for the runtime only.
#[diagnostic::on_unimplemented(
    message = "txn has no engine for `{Self}`",
    note = "use `txn::Sqlite`, `txn::Postgres` or `txn::MySql`, and turn on the feature \
            `sqlite`, `postgres` or `mysql`"
)]
pub trait Engine:
    Codes + Controlled + Resets + StatementRules + HasStatementCache + Debug + sealed::Sealed
{
    /// The name of the engine in spans and messages.
    #[doc(hidden)]
    const SYSTEM: &'static str;
    /// The options that the engine cannot do.
    #[doc(hidden)]
    const LACKS: Lacks;
    /// The SQL that gives these settings the values back that the runtime relies on. It runs only
    /// outside of a transaction, since it may commit.
    #[doc(hidden)]
    const RESTORE: Option<&'static str> = None;
    /// True if a future that is dropped in flight leaves the connection beyond use.
    #[doc(hidden)]
    const DROPS_BREAK: bool = false;
    /// True if the engine has one writer at a time. Writers then wait in a queue of the runtime,
    /// which is fair, as the engine is not.
    #[doc(hidden)]
    const ONE_WRITER: bool = false;

    // -- sessions

    /// True if a connection dies with the tokio runtime that it was opened on, even if it seems to
    /// answer once more.
    #[doc(hidden)]
    const LIVES_IN_RUNTIME: bool = true;
    /// The highest number of sessions that this database can have open, if there is a limit.
    #[doc(hidden)]
    fn session_limit(_options: &ConnectOptionsOf<Self>) -> Option<usize> {
        None
    }
    /// Returns where the database is, as a label of metrics that tells several databases apart.
    #[cfg(feature = "metrics")]
    #[doc(hidden)]
    fn address(options: &ConnectOptionsOf<Self>) -> String;
    /// The URL of a database that is always there, for tests.
    #[doc(hidden)]
    const EMBEDDED: Option<&'static str> = None;
    /// Sets a new connection up as the runtime needs it, where its user has not said otherwise, and
    /// returns how to reach it from outside.
    #[doc(hidden)]
    fn greet(
        connection: &mut Self::Connection,
        options: &ConnectOptionsOf<Self>,
        greeting: &Greeting,
    ) -> impl Future<Output = Result<Backend, sqlx::Error>> + Send;
    /// Reads the rest of the answer to an operation that was dropped, and throws it away. If the
    /// dropped statement itself ends with an error, that is the `Some`: the caller has to judge it,
    /// and the next statement must not get it. A drain that is dropped can be
    /// started again, unless [drops break](Self::DROPS_BREAK) the connection.
    #[doc(hidden)]
    fn drain(
        connection: &mut Self::Connection,
        wire: Wire,
    ) -> impl Future<Output = Result<Option<sqlx::Error>, sqlx::Error>> + Send;
    /// Asks whether the connection is inside of a transaction, when there is no other way to know.
    #[doc(hidden)]
    fn in_transaction(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Asks whether the connection is inside of the transaction that the runtime has begun. On some
    /// engines code out of sight can end it and begin another, which then looks the same.
    #[doc(hidden)]
    fn in_begun_transaction(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send {
        Self::in_transaction(connection)
    }

    // -- the dialect of transactions

    /// The query for the [`OwnLimits`] of a session, on an engine whose BEGIN needs them.
    #[doc(hidden)]
    const ASK_LIMITS: Option<&'static str> = None;
    /// Reads the answer.
    #[doc(hidden)]
    fn own_limits(_row: &Self::Row) -> OwnLimits {
        OwnLimits::default()
    }
    /// The SQL of BEGIN, in one request. `limit` makes the server end the transaction by itself if
    /// this process is gone; it is never longer than the limits that the session has.
    #[doc(hidden)]
    fn begin(options: &Options, limit: Option<Duration>, own: OwnLimits) -> Cow<'static, str>;
    /// The SQL of COMMIT. It must fail outside of a transaction, and in an aborted one
    /// (invariant 6).
    #[doc(hidden)]
    fn commit(access: Access) -> &'static str;
    /// The SQL of ROLLBACK.
    #[doc(hidden)]
    fn rollback(_access: Access) -> &'static str {
        "ROLLBACK"
    }
    /// A statement that does nothing. sqlx's `begin_with` runs it to find out whether the
    /// connection is inside of a transaction.
    #[doc(hidden)]
    const NOTHING: &'static str = "SELECT 1";
    /// Follows each SAVEPOINT and each ROLLBACK TO, for the sake of
    /// [`in_begun_transaction`](Self::in_begun_transaction).
    #[doc(hidden)]
    const ANCHOR: &'static str = "";
    /// True if sqlx's `begin_with` costs less than a query, so that COMMIT and ROLLBACK go through
    /// it.
    #[doc(hidden)]
    const ENDS_CHEAPLY: bool = false;

    // -- in a sandbox, where the savepoint `txn_box` is set before each scope

    /// The SQL that makes a scope read-only; `None` if the server cannot do that inside of a
    /// transaction.
    #[doc(hidden)]
    const SANDBOX_READ_ONLY: Option<&'static str> = None;
    /// The SQL that ends a scope well. Like COMMIT, it must fail outside of a transaction and in an
    /// aborted one.
    #[doc(hidden)]
    fn sandbox_commit(_access: Access) -> &'static str {
        "RELEASE SAVEPOINT txn_box; SAVEPOINT txn_box"
    }
    /// The SQL that rolls a scope back.
    #[doc(hidden)]
    fn sandbox_rollback(_access: Access) -> &'static str {
        "ROLLBACK TO SAVEPOINT txn_box"
    }
    // -- the check of a handle

    /// Fails if a scope that writes would be refused. It leaves nothing behind. After a failure the
    /// connection may be in any state.
    #[doc(hidden)]
    fn check_writes(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    // -- running statements

    /// Returns whether the driver may keep this statement prepared. False if it would not notice
    /// that the schema has changed since.
    #[doc(hidden)]
    fn may_keep_prepared(_sql: &str) -> bool {
        true
    }
    /// A statement that runs before one that may not be kept, so that it is not prepared for an old
    /// schema.
    #[doc(hidden)]
    const LOOK_AT_SCHEMA: Option<&'static str> = None;
    /// Runs a query and streams its answer.
    #[doc(hidden)]
    fn fetch_many<'e, 'q: 'e, E>(
        connection: &'e mut Self::Connection,
        query: E,
    ) -> BoxStream<'e, Result<Step<Self>, sqlx::Error>>
    where
        E: Execute<'q, Self> + 'q;
    /// Runs a query and returns its first row. Unlike sqlx's own, it always reads the answer to its
    /// end, so that the wire is idle afterwards.
    #[doc(hidden)]
    fn fetch_optional<'e, 'q: 'e, E>(
        connection: &'e mut Self::Connection,
        query: E,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, sqlx::Error>>
    where
        E: Execute<'q, Self> + 'q;
    /// Prepares a statement.
    #[doc(hidden)]
    fn prepare_with<'e>(
        connection: &'e mut Self::Connection,
        sql: SqlStr,
        parameters: &'e [Self::TypeInfo],
    ) -> BoxFuture<'e, Result<Self::Statement, sqlx::Error>>;
    /// Asks for the columns and the parameters of a statement.
    #[doc(hidden)]
    fn describe<'e>(
        connection: &'e mut Self::Connection,
        sql: SqlStr,
    ) -> BoxFuture<'e, Result<Describe<Self>, sqlx::Error>>;
}

/// Delegates the running of statements to sqlx's own executor, which generic code cannot name
/// (E0275).
macro_rules! delegate_to_sqlx {
    () => {
        delegate_to_sqlx! { all but fetch_many }

        fn fetch_many<'e, 'q: 'e, E>(
            connection: &'e mut Self::Connection,
            query: E,
        ) -> BoxStream<'e, Result<Step<Self>, sqlx::Error>>
        where
            E: Execute<'q, Self> + 'q,
        {
            Executor::fetch_many(connection, query)
        }
    };
    (all but fetch_many) => {
        fn prepare_with<'e>(
            connection: &'e mut Self::Connection,
            sql: SqlStr,
            parameters: &'e [Self::TypeInfo],
        ) -> BoxFuture<'e, Result<Self::Statement, sqlx::Error>> {
            Executor::prepare_with(connection, sql, parameters)
        }

        fn describe<'e>(
            connection: &'e mut Self::Connection,
            sql: SqlStr,
        ) -> BoxFuture<'e, Result<Describe<Self>, sqlx::Error>> {
            Executor::describe(connection, sql)
        }
    };
}
use delegate_to_sqlx;

mod sealed {
    pub trait Sealed {}
    #[cfg(feature = "sqlite")]
    impl Sealed for sqlx::Sqlite {}
    #[cfg(feature = "postgres")]
    impl Sealed for sqlx::Postgres {}
    #[cfg(feature = "mysql")]
    impl Sealed for sqlx::MySql {}
}

/// Opens a connection and sets it up. What the greeting takes is one round trip, and is noted as
/// such. Dropped before it is done, the connection is closed.
pub(crate) async fn connect<DB: Engine>(
    options: &ConnectOptionsOf<DB>,
    greeting: &Greeting,
    round_trip: &RoundTrip,
) -> Result<(DB::Connection, Backend), sqlx::Error> {
    let mut connection = options.connect().await?;
    let greeted = Instant::now();
    let backend = DB::greet(&mut connection, options, greeting).await?;
    round_trip.note(greeted.elapsed());
    Ok((connection, backend))
}
