//! SQLite.
//!
//! - There is one writer at a time. A scope that may write waits for its turn in the runtime, and
//!   then begins with `BEGIN IMMEDIATE`, so that it never has to become a writer later.
//! - A read-only scope sets `PRAGMA query_only`, which is a setting of the session: the end of the
//!   transaction unsets it.
//! - An error may or may not have ended the transaction, so that the session is asked before the
//!   next statement.
//! - A connection has a worker thread of its own, which goes on with an operation whose future was
//!   dropped. A flag stops it, which SQLite checks every few instructions.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Describe, Execute, Executor, SqlStr};

mod place;
mod pragma;
mod reset;

use self::place::{in_memory, may_set_journal_mode};
use super::{
    Access, Codes, Controlled, Engine, Greeting, OwnLimits, Place, Refusal, StatementRules, Step,
    Wire, delegate_to_sqlx,
};
use crate::engine::Backend;
use crate::model::error::Class;
use crate::model::error::class::sqlite::{class, primary_code};
use crate::model::options::{Lacks, Options};
use crate::model::transaction::Effect;

/// After how many instructions of its virtual machine SQLite checks the interrupt flag: about 50
/// µs.
const STEPS_PER_CHECK: i32 = 1_000;
/// `SQLITE_ERROR`. From BEGIN it means that a transaction is open already, from COMMIT and ROLLBACK
/// that none is.
const GENERIC: &str = "1";
/// `SQLITE_READONLY`.
const READ_ONLY: u32 = 8;

impl Engine for Sqlite {
    const SYSTEM: &'static str = "sqlite";
    const LACKS: Lacks = Lacks {
        deferrable: Some("SQLite has no deferrable transactions: remove `deferrable`"),
        weak_isolation: Some(
            "SQLite runs every transaction serializable: write `isolation = serializable`, \
             or leave `isolation` out",
        ),
        second_writer: Some(
            "SQLite has one writer: what writes on a second session inside of a scope that may \
             write would wait for its own caller; use the `tx` of that scope (`nested` in place of \
             `requires_new`), or do it after that scope has ended",
        ),
    };
    const ONE_WRITER: bool = true;
    /// A connection has a thread of its own, which does not end with the tokio runtime.
    const LIVES_IN_RUNTIME: bool = false;
    const EMBEDDED: Option<&'static str> = Some("sqlite::memory:");

    fn session_limit(options: &SqliteConnectOptions) -> Option<usize> {
        // With several sessions, each would have a database of its own, or all would share a cache
        // whose locks do not wait.
        in_memory(options).then_some(1)
    }

    #[cfg(feature = "metrics")]
    fn address(options: &SqliteConnectOptions) -> String {
        options.get_filename().display().to_string()
    }

    /// Turns the write-ahead log on if the user has not chosen a journal mode, and installs the
    /// interrupt flag.
    async fn greet(
        connection: &mut SqliteConnection,
        options: &SqliteConnectOptions,
        _greeting: &Greeting,
    ) -> Result<Backend, sqlx::Error> {
        // sqlx itself turns foreign keys on and sets a busy timeout.
        if may_set_journal_mode(options) {
            write_ahead(connection).await?;
        }
        let interrupt = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&interrupt);
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(STEPS_PER_CHECK, move || !stop.load(Ordering::Relaxed));
        Ok(Backend::interrupted_by(interrupt))
    }

    async fn drain(
        connection: &mut SqliteConnection,
        _wire: Wire,
    ) -> Result<Option<sqlx::Error>, sqlx::Error> {
        // The worker thread answers in order: once it answers the ping, it is done with the dropped
        // operation.
        connection.ping().await.map(|()| None)
    }

    async fn in_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        // A deferred BEGIN takes no lock, so that it can only fail inside of a transaction.
        match connection.execute("BEGIN; ROLLBACK").await {
            Ok(_) => Ok(false),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(GENERIC) => {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    fn begin(options: &Options, _limit: Option<Duration>, _: OwnLimits) -> Cow<'static, str> {
        Cow::Borrowed(match options.read_only {
            true => "PRAGMA query_only = 1; BEGIN",
            // A deferred transaction that becomes a writer later fails at once if another one has
            // written meanwhile.
            false => "BEGIN IMMEDIATE",
        })
    }

    fn commit(access: Access) -> &'static str {
        match access.read_only {
            true => "PRAGMA query_only = 0; COMMIT",
            false => "COMMIT",
        }
    }

    fn rollback(access: Access) -> &'static str {
        match access.read_only {
            true => "PRAGMA query_only = 0; ROLLBACK",
            false => "ROLLBACK",
        }
    }

    const SANDBOX_READ_ONLY: Option<&'static str> = Some("PRAGMA query_only = 1");

    fn sandbox_commit(access: Access) -> &'static str {
        match access.read_only {
            true => "PRAGMA query_only = 0; RELEASE SAVEPOINT txn_box; SAVEPOINT txn_box",
            false => "RELEASE SAVEPOINT txn_box; SAVEPOINT txn_box",
        }
    }

    fn sandbox_rollback(access: Access) -> &'static str {
        match access.read_only {
            true => "PRAGMA query_only = 0; ROLLBACK TO SAVEPOINT txn_box",
            false => "ROLLBACK TO SAVEPOINT txn_box",
        }
    }

    async fn check_writes(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let write = "BEGIN IMMEDIATE; CREATE TABLE txn_check_writes (n); ROLLBACK";
        connection.execute(write).await.map(drop)
    }

    /// SQLite notices a changed schema when it runs a statement, and prepares the statement again
    /// by itself. sqlx goes on with the columns of before: if there is one more column, its worker
    /// thread panics and the caller gets no rows; if columns have other names, the caller gets the
    /// wrong ones. That can only happen to statements that do not name their columns.
    fn may_keep_prepared(sql: &str) -> bool {
        !selects_all(sql)
    }

    /// Any statement that reads makes SQLite check the schema.
    const LOOK_AT_SCHEMA: Option<&'static str> = Some("SELECT 1 FROM sqlite_master LIMIT 0");

    fn fetch_optional<'e, 'q: 'e, E>(
        connection: &'e mut SqliteConnection,
        query: E,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, sqlx::Error>>
    where
        E: Execute<'q, Self> + 'q,
    {
        Executor::fetch_optional(connection, query)
    }

    delegate_to_sqlx!();
}

/// Turns the write-ahead log on. A read-only database stays as it is.
async fn write_ahead(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    match connection.execute("PRAGMA journal_mode = WAL").await {
        Err(sqlx::Error::Database(error)) if primary_code(&*error) == READ_ONLY => Ok(()),
        result => result.map(drop),
    }
}

/// Returns whether a `*` in the text may stand for columns: any but that of `count(*)`. A
/// multiplication is taken for one too, which only costs the time to prepare the statement each
/// time.
fn selects_all(sql: &str) -> bool {
    let mut before_each_star = sql.split('*').rev().skip(1);
    !before_each_star.all(|before| before.trim_end().ends_with('('))
}

impl Codes for Sqlite {
    fn may_connect_soon(error: &dyn DatabaseError) -> bool {
        // The switch to a write-ahead log takes a lock that `busy_timeout` does not wait for.
        error
            .try_downcast_ref()
            .is_some_and(|error| class(error) == Class::Busy)
    }

    fn only_reads(error: &dyn DatabaseError) -> bool {
        primary_code(error) == READ_ONLY
    }

    fn effect(_error: &dyn DatabaseError) -> Effect {
        // FULL, IOERR, NOMEM and INTERRUPT may roll the transaction back; `OR ROLLBACK` and
        // `RAISE(ROLLBACK)` do.
        Effect::Doubt
    }

    fn refused_commit(error: &dyn DatabaseError) -> Option<Refusal> {
        (error.code().as_deref() == Some(GENERIC)).then_some(Refusal::Ended)
    }

    fn ended_by_failed_commit(_error: &dyn DatabaseError) -> bool {
        false
    }

    fn is_out_of_step(error: &sqlx::Error) -> bool {
        match error {
            sqlx::Error::Protocol(_) => false,
            error => Class::of(error).is_loss(),
        }
    }

    fn nothing_to_roll_back(error: &dyn DatabaseError) -> bool {
        error.code().as_deref() == Some(GENERIC)
    }
}

impl Controlled for Sqlite {}

impl StatementRules for Sqlite {
    fn refusal(
        sql: &str,
        keyword: &str,
        place: Place,
        options: &SqliteConnectOptions,
    ) -> Option<String> {
        match pragma::has_to_be_read(sql, keyword) {
            true => pragma::refusal(sql, place, options),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_whose_columns_are_not_named_do_not_stay_prepared() {
        for all in [
            "SELECT * FROM t",
            "SELECT t.* FROM t",
            "SELECT count(*), * FROM t",
            "INSERT INTO t VALUES (1) RETURNING *",
        ] {
            assert!(!Sqlite::may_keep_prepared(all), "{all}");
        }
        for named in [
            "SELECT a FROM t",
            "SELECT count(*) FROM t",
            "",
            "SELECT count( * )",
        ] {
            assert!(Sqlite::may_keep_prepared(named), "{named}");
        }
    }
}
