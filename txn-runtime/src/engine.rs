//! What differs between PostgreSQL, MySQL/MariaDB and SQLite, and nothing else.
//!
//! [`Engine`] is the one trait: the SQL of transactions, the meaning of errors, and what the driver
//! needs to be helped with. Its implementations decide nothing about sessions or scopes. Methods
//! that take a connection run one exchange on it: if their future is dropped, the exchange is left
//! in flight, and the caller has noted that before (invariant 2).

use std::borrow::Cow;
use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::database::HasStatementCache;
use sqlx::error::DatabaseError;
use sqlx::{ConnectOptions, Connection, Database, Describe, Either, Execute, SqlStr};

mod backend;
pub(crate) mod clock;
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
pub(crate) use self::greeting::Greeting;
pub(crate) use self::resets::{AsOpened, Renewal, Resets};
pub(crate) use self::round_trip::RoundTrip;
use self::statement::Dialect;
use crate::model::error::Class;
use crate::model::options::{Lacks, Options};
use crate::model::transaction::{Access, Effect, Wire};

/// The connect options of an engine, as sqlx has them.
pub type ConnectOptionsOf<DB> = <<DB as Database>::Connection as Connection>::Options;

/// One step of an answer: the end of a statement, or a row.
pub(crate) type Step<DB> = Either<<DB as Database>::QueryResult, <DB as Database>::Row>;

/// The context that a statement is to run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Inside of a transaction.
    Transaction,
    /// In autocommit mode, on a session that its user holds.
    Session,
    /// In autocommit mode, on whichever session of the pool is free.
    AnySession,
}

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

/// The reason for which there was no healthy transaction to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A statement had failed before, and the engine has rolled everything back.
    Aborted,
    /// The transaction had ended before, and it is not known how.
    Ended,
}

/// The server's answer about a transaction whose COMMIT was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It was committed.
    Committed,
    /// It was not committed, and will not be.
    Aborted,
    /// It is still open: the server has not noticed that its client is gone.
    InProgress,
    /// The server does not know any more.
    Forgotten,
    /// The answer came from another server, or from the same one after a restart.
    Elsewhere,
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
pub trait Engine: Resets + HasStatementCache + Debug + sealed::Sealed {
    /// The name of the engine in spans and messages.
    #[doc(hidden)]
    const SYSTEM: &'static str;
    /// The options that the engine cannot do.
    #[doc(hidden)]
    const LACKS: Lacks;
    /// The rules by which a text of several statements is split.
    #[doc(hidden)]
    const DIALECT: Dialect = Dialect {
        dollar_quotes: false,
    };
    /// Returns whether a statement commits the transaction that it runs in, although its keyword
    /// does not say so; `following` are the words after the keyword.
    #[doc(hidden)]
    fn commits_implicitly(_keyword: &str, _following: &mut dyn Iterator<Item = &str>) -> bool {
        false
    }
    /// First keywords of statements that run others, which may end a transaction.
    #[doc(hidden)]
    const RUNS_OTHERS: &'static [&'static str] = &[];
    /// Returns whether a statement that begins like a BEGIN is a block of statements.
    #[doc(hidden)]
    fn is_block(_keyword: &str, _following: &mut dyn Iterator<Item = &str>) -> bool {
        false
    }
    /// Settings of a session that the runtime relies on, each with the values that it may have.
    #[doc(hidden)]
    const RELIES_ON: &'static [(&'static str, &'static [&'static str])] = &[];
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

    /// Returns why a statement is refused at a place because it would not do what it says;
    /// transaction control is refused elsewhere. `keyword` is the first word of the statement.
    #[doc(hidden)]
    fn refusal(
        _sql: &str,
        _keyword: &str,
        _place: Place,
        _options: &ConnectOptionsOf<Self>,
    ) -> Option<String> {
        None
    }

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
    /// Returns whether the server refuses this greeting for good, so that one which asks for less
    /// may do.
    #[doc(hidden)]
    fn refuses_greeting(_error: &dyn DatabaseError) -> bool {
        false
    }
    /// Returns whether a cancel can tell this session from any other that has the same id by now.
    #[doc(hidden)]
    fn tells_apart(target: &Target) -> bool {
        target.server.is_some()
    }
    /// The request, for the control connection, that cancels on the server what each of these
    /// sessions is doing, if the server is the one that the session was opened on. It yields a row
    /// for each of them, in their order, and ends early with an error if a session
    /// [is gone](Self::is_gone).
    ///
    /// An engine within this process has no such request, and is not asked for one.
    #[doc(hidden)]
    fn cancel(_targets: &[Target]) -> String {
        String::new()
    }
    /// Reads a row of [`cancel`](Self::cancel): which of the sessions it is about, counted from 0,
    /// and whether this is the server of that session.
    #[doc(hidden)]
    fn heard(_row: &Self::Row) -> Option<(i64, bool)> {
        None
    }
    /// The codes of the errors for statements that took longer than their limit on the server.
    #[doc(hidden)]
    const TOO_LONG: &'static [&'static str] = &[];
    /// Returns whether a cancel failed because there is no such session any more.
    #[doc(hidden)]
    fn is_gone(_error: &dyn DatabaseError) -> bool {
        false
    }
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

    /// The question which of these sessions, a list in SQL, wait for a lock, and who holds it.
    #[doc(hidden)]
    fn ask_who_blocks(_sessions: &str) -> Option<String> {
        None
    }
    /// Reads a row of the answer: the session that waits, and the session that holds the lock.
    #[doc(hidden)]
    fn blocked(_row: &Self::Row) -> Option<(u64, u64)> {
        None
    }

    /// Returns whether the server refused the connection for a reason that may pass by itself soon.
    #[doc(hidden)]
    fn may_connect_soon(_error: &dyn DatabaseError) -> bool {
        false
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
    /// The SQL that is sent along with BEGIN to get the id of the transaction.
    #[doc(hidden)]
    const IDENTIFY: Option<&'static str> = None;
    /// Reads the answer.
    #[doc(hidden)]
    fn transaction_id(_row: &Self::Row) -> Option<String> {
        None
    }
    /// The question what became of a transaction. It names the server, since the same id means
    /// another transaction on another server, or on the same one after a restart.
    #[doc(hidden)]
    fn ask_about(_transaction: &str, _server: &str) -> Option<String> {
        None
    }
    /// Reads the answer.
    #[doc(hidden)]
    fn verified(_row: &Self::Row) -> Verified {
        Verified::Forgotten
    }
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
    /// A statement that fails unless the transaction is the one that the runtime began, on an
    /// engine where a later transaction would look the same. It is sent before a rollback.
    #[doc(hidden)]
    const PROOF: Option<&'static str> = None;
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

    // -- what errors mean

    /// Returns whether a statement was refused because the session, or its server, is read-only.
    #[doc(hidden)]
    fn only_reads(error: &dyn DatabaseError) -> bool;
    /// Fails if a scope that writes would be refused. It leaves nothing behind. After a failure the
    /// connection may be in any state.
    #[doc(hidden)]
    fn check_writes(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
    /// Returns what a failed statement did to its transaction.
    #[doc(hidden)]
    fn effect(error: &dyn DatabaseError) -> Effect;
    /// Returns why COMMIT was refused, if that was because there was no healthy transaction to
    /// commit.
    #[doc(hidden)]
    fn refused_commit(error: &dyn DatabaseError) -> Option<Refusal>;
    /// Returns whether the session is outside of the transaction for certain after this failed
    /// COMMIT.
    #[doc(hidden)]
    fn ended_by_failed_commit(error: &dyn DatabaseError) -> bool;
    /// Returns whether this answer to COMMIT says that the server does not know what became of it.
    #[doc(hidden)]
    fn leaves_commit_open(error: &dyn DatabaseError) -> bool {
        // statement_completion_unknown, transaction_resolution_unknown
        matches!(error.code().as_deref(), Some("40003" | "08007"))
    }
    /// Returns whether the connection is of no more use after this error: it was lost, or the
    /// driver has lost its place in the protocol.
    #[doc(hidden)]
    fn is_out_of_step(error: &sqlx::Error) -> bool {
        Class::of(error).is_loss()
    }
    /// Returns whether ROLLBACK failed only because there was nothing to roll back.
    #[doc(hidden)]
    fn nothing_to_roll_back(_error: &dyn DatabaseError) -> bool {
        false
    }

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
