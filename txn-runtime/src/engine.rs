//! What differs between PostgreSQL, MySQL/MariaDB and SQLite, and nothing else.

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
mod local_errors;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod resets;
mod round_trip;
#[cfg(feature = "sqlite")]
mod sqlite;
pub(crate) mod statement;

pub(crate) use self::backend::{Backend, Target};
pub(crate) use self::greeting::Greeting;
pub(crate) use self::local_errors::{
    cancel_at_large, dropped_in_flight, left_to_its_server, timed_out,
};
pub(crate) use self::resets::{AsOpened, Renewal, Resets};
pub(crate) use self::round_trip::RoundTrip;
use self::statement::Dialect;
use crate::model::error::Class;
use crate::model::options::{Lacks, Options};
use crate::model::transaction::{Access, Effect, Wire};

/// The connect options of an engine, as sqlx has them.
pub type ConnectOptionsOf<DB> = <<DB as Database>::Connection as Connection>::Options;

pub(crate) type Step<DB> = Either<<DB as Database>::QueryResult, <DB as Database>::Row>;

/// Where a statement is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Transaction,
    /// In autocommit mode, on a session that its user holds.
    Session,
    /// In autocommit mode, on whichever session is free, of several.
    AnySession,
}

/// The limits in milliseconds that a session has by itself, where they have to be known before a transaction can be given
/// one: what is set for it never lets more pass than they do. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    pub(crate) statement: u64,
    pub(crate) idle: u64,
}

/// Why there was no healthy transaction to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A statement had failed, and the engine has rolled back everything.
    Aborted,
    /// The transaction had ended before, nobody knows how.
    Ended,
}

/// What the server says of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It was committed.
    Committed,
    /// It was not, and will not be.
    Aborted,
    /// It is not over yet: the server has not noticed that its client is gone.
    InProgress,
    /// The server does not know any more.
    Forgotten,
    /// It is another server that was asked, or the same after a restart.
    Elsewhere,
}

/// A database that transactions can run on: [`Postgres`](sqlx::Postgres), [`MySql`](sqlx::MySql) (and MariaDB),
/// [`Sqlite`](sqlx::Sqlite).
///
/// Sealed: what it requires is of interest to the runtime only.
#[diagnostic::on_unimplemented(
    message = "txn has no engine for `{Self}`",
    note = "use `txn::Sqlite`, `txn::Postgres` or `txn::MySql`, and turn on the feature `sqlite`, `postgres` or `mysql`"
)]
pub trait Engine: Resets + HasStatementCache + Debug + sealed::Sealed {
    /// As it stands in spans and messages.
    #[doc(hidden)]
    const SYSTEM: &'static str;
    #[doc(hidden)]
    const LACKS: Lacks;
    /// How a text of several statements is taken apart.
    #[doc(hidden)]
    const DIALECT: Dialect = Dialect {
        dollar_quotes: false,
    };
    /// Whether a statement commits the transaction that it runs in, though its keyword does not
    /// say so; it is told by the words that follow.
    #[doc(hidden)]
    fn commits_implicitly(_keyword: &str, _following: &mut dyn Iterator<Item = &str>) -> bool {
        false
    }
    /// First keywords of statements that run others, which may end a transaction.
    #[doc(hidden)]
    const RUNS_OTHERS: &'static [&'static str] = &[];
    /// Whether a statement that begins like a BEGIN is a block of statements.
    #[doc(hidden)]
    fn is_block(_keyword: &str, _following: &mut dyn Iterator<Item = &str>) -> bool {
        false
    }
    /// Settings of a session that the runtime relies on, each with the values that it may have.
    #[doc(hidden)]
    const RELIES_ON: &'static [(&'static str, &'static [&'static str])] = &[];
    /// Gives these settings back the values that the runtime relies on. Only outside of a
    /// transaction, since it may commit.
    #[doc(hidden)]
    const RESTORE: Option<&'static str> = None;
    /// Whether an operation dropped in flight leaves the connection beyond use.
    #[doc(hidden)]
    const DROPS_BREAK: bool = false;
    /// Writers of one database wait for each other anyway, and do it fairly only in a queue of ours.
    #[doc(hidden)]
    const ONE_WRITER: bool = false;

    /// Why a statement would not do there what it says, beside ending a transaction; `keyword` is its first word.
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

    /// Whether a connection ends with the runtime that it was opened on, though it may seem to answer once more.
    #[doc(hidden)]
    const LIVES_IN_RUNTIME: bool = true;
    /// The most sessions that this database can have open, if it has a limit of its own.
    #[doc(hidden)]
    fn session_limit(_options: &ConnectOptionsOf<Self>) -> Option<usize> {
        None
    }
    /// Where the database is, for those who have several.
    #[cfg(feature = "metrics")]
    #[doc(hidden)]
    fn address(options: &ConnectOptionsOf<Self>) -> String;
    /// A database that is always there, for tests.
    #[doc(hidden)]
    const EMBEDDED: Option<&'static str> = None;
    /// Sets a new connection up as a transaction layer wants it, where its user has not said otherwise, and says how to reach it
    /// from outside.
    #[doc(hidden)]
    fn greet(
        connection: &mut Self::Connection,
        options: &ConnectOptionsOf<Self>,
        greeting: &Greeting,
    ) -> impl Future<Output = Result<Backend, sqlx::Error>> + Send;
    /// The server does not take this greeting, and will not: one that asks for less may do.
    #[doc(hidden)]
    fn refuses_greeting(_error: &dyn DatabaseError) -> bool {
        false
    }
    /// Whether this says enough for a statement to know the session from every other.
    #[doc(hidden)]
    fn tells_apart(target: &Target) -> bool {
        target.server.is_some()
    }
    /// One request that ends on the server what each of these sessions is doing, if that is the
    /// server that it was opened on. In their order it yields a row for each, before its turn comes
    /// or after, up to one that [`is_gone`](Self::is_gone).
    ///
    /// Where a session is stopped from within there is none, and it is not asked for.
    #[doc(hidden)]
    fn cancel(_targets: &[Target]) -> String {
        String::new()
    }
    /// Which of the sessions such a row is about, counted from 0, and whether this is its server.
    #[doc(hidden)]
    fn heard(_row: &Self::Row) -> Option<(i64, bool)> {
        None
    }
    /// Codes of statements that took longer than the server was told to let them.
    #[doc(hidden)]
    const TOO_LONG: &'static [&'static str] = &[];
    /// There is no such session (any more) to be ended.
    #[doc(hidden)]
    fn is_gone(_error: &dyn DatabaseError) -> bool {
        false
    }
    /// Reads what is left of an operation that was dropped, and forgets it. An error of the statement itself is
    /// returned: it is the caller's to judge, and never the next statement's.
    #[doc(hidden)]
    fn drain(
        connection: &mut Self::Connection,
        wire: Wire,
    ) -> impl Future<Output = Result<Option<sqlx::Error>, sqlx::Error>> + Send;
    /// Whether the connection is inside a transaction. Only for when there is no other way to know.
    #[doc(hidden)]
    fn in_transaction(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Asks which of these sessions, a list in SQL, wait for a lock, and on which.
    #[doc(hidden)]
    fn ask_who_blocks(_sessions: &str) -> Option<String> {
        None
    }
    #[doc(hidden)]
    fn blocked(_row: &Self::Row) -> Option<(u64, u64)> {
        None
    }

    /// A refusal to connect that may pass by itself, soon.
    #[doc(hidden)]
    fn may_connect_soon(_error: &dyn DatabaseError) -> bool {
        false
    }

    // -- the dialect of transactions

    /// Asks a session for its [`OwnLimits`], where BEGIN has to be told of them.
    #[doc(hidden)]
    const ASK_LIMITS: Option<&'static str> = None;
    #[doc(hidden)]
    fn own_limits(_row: &Self::Row) -> OwnLimits {
        OwnLimits::default()
    }
    /// `limit` is for the server to end the transaction by itself, should this process be gone. It never loosens what
    /// the session has.
    #[doc(hidden)]
    fn begin(options: &Options, limit: Option<Duration>, own: OwnLimits) -> Cow<'static, str>;
    /// What to send along with BEGIN so that [`transaction_id`](Self::transaction_id) has a row to read.
    #[doc(hidden)]
    const IDENTIFY: Option<&'static str> = None;
    #[doc(hidden)]
    fn transaction_id(_row: &Self::Row) -> Option<String> {
        None
    }
    /// The question what became of a transaction of this server's; the answer of another, or of
    /// this one after a restart, would be about another transaction.
    #[doc(hidden)]
    fn ask_about(_transaction: &str, _server: &str) -> Option<String> {
        None
    }
    #[doc(hidden)]
    fn verified(_row: &Self::Row) -> Verified {
        Verified::Forgotten
    }
    /// A COMMIT that fails outside of a transaction, and in an aborted one.
    #[doc(hidden)]
    fn commit(access: Access) -> &'static str;
    #[doc(hidden)]
    fn rollback(_access: Access) -> &'static str {
        "ROLLBACK"
    }
    /// A statement that does nothing, for sqlx's `begin_with`, which says whether the connection
    /// is inside of a transaction.
    #[doc(hidden)]
    const NOTHING: &'static str = "SELECT 1";
    /// A statement that fails unless the transaction is the one that the runtime began, where a
    /// later one would look the same. For a transaction that is about to be rolled back.
    #[doc(hidden)]
    const PROOF: Option<&'static str> = None;
    /// Whether sqlx's `begin_with` costs less than a query, so that what ends a transaction is better run through it.
    #[doc(hidden)]
    const ENDS_CHEAPLY: bool = false;

    // -- in a sandbox, where the savepoint `txn_box` is set before each scope

    /// What makes a scope read-only; `None` where the server cannot do that within a transaction.
    #[doc(hidden)]
    const SANDBOX_READ_ONLY: Option<&'static str> = None;
    /// Fails, as the COMMIT would, outside of a transaction and in an aborted one.
    #[doc(hidden)]
    fn sandbox_commit(_access: Access) -> &'static str {
        "RELEASE SAVEPOINT txn_box; SAVEPOINT txn_box"
    }
    #[doc(hidden)]
    fn sandbox_rollback(_access: Access) -> &'static str {
        "ROLLBACK TO SAVEPOINT txn_box"
    }

    // -- what errors mean

    /// A statement that writes was refused because the session, or its server, only reads.
    #[doc(hidden)]
    fn only_reads(error: &dyn DatabaseError) -> bool;
    /// Fails where a scope that writes would be refused. Leaves nothing behind; failed, it leaves the connection in whatever state.
    #[doc(hidden)]
    fn check_writes(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
    #[doc(hidden)]
    fn effect(error: &dyn DatabaseError) -> Effect;
    /// Why the COMMIT was refused, if that was because there was no healthy transaction to commit.
    #[doc(hidden)]
    fn refused_commit(error: &dyn DatabaseError) -> Option<Refusal>;
    /// After this failed COMMIT the session is outside of the transaction for certain.
    #[doc(hidden)]
    fn ended_by_failed_commit(error: &dyn DatabaseError) -> bool;
    /// The answer to a COMMIT that says that nobody knows what became of it.
    #[doc(hidden)]
    fn leaves_commit_open(error: &dyn DatabaseError) -> bool {
        // statement_completion_unknown, transaction_resolution_unknown
        matches!(error.code().as_deref(), Some("40003" | "08007"))
    }
    /// After this error the connection is of no more use: it was lost, or the driver has lost its place in the protocol.
    #[doc(hidden)]
    fn is_out_of_step(error: &sqlx::Error) -> bool {
        Class::of(error).is_loss()
    }
    /// A ROLLBACK failed only because there was nothing to roll back.
    #[doc(hidden)]
    fn nothing_to_roll_back(_error: &dyn DatabaseError) -> bool {
        false
    }

    // -- running statements

    /// Whether the driver may use again what it remembers of this statement: false where it would not notice that the schema has
    /// changed since.
    #[doc(hidden)]
    fn may_keep_prepared(_sql: &str) -> bool {
        true
    }
    /// What to run before a statement that may not be kept, so that it is not prepared for a schema that is no more.
    #[doc(hidden)]
    const LOOK_AT_SCHEMA: Option<&'static str> = None;
    #[doc(hidden)]
    fn fetch_many<'e, 'q: 'e, E>(
        connection: &'e mut Self::Connection,
        query: E,
    ) -> BoxStream<'e, Result<Step<Self>, sqlx::Error>>
    where
        E: Execute<'q, Self> + 'q;
    /// Unlike sqlx's, always completes the exchange.
    #[doc(hidden)]
    fn fetch_optional<'e, 'q: 'e, E>(
        connection: &'e mut Self::Connection,
        query: E,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, sqlx::Error>>
    where
        E: Execute<'q, Self> + 'q;
    #[doc(hidden)]
    fn prepare_with<'e>(
        connection: &'e mut Self::Connection,
        sql: SqlStr,
        parameters: &'e [Self::TypeInfo],
    ) -> BoxFuture<'e, Result<Self::Statement, sqlx::Error>>;
    #[doc(hidden)]
    fn describe<'e>(
        connection: &'e mut Self::Connection,
        sql: SqlStr,
    ) -> BoxFuture<'e, Result<Describe<Self>, sqlx::Error>>;
}

/// Delegates the running of statements to sqlx's own executor, which generic code cannot name (E0275).
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

/// Opens a connection and sets it up.
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
