//! MySQL and MariaDB.
//!
//! - A future that is dropped in flight costs the connection, since the driver loses its place in
//!   the protocol. Only a row stream that is dropped between two rows can be drained.
//! - Most failed statements leave the transaction as it is. A deadlock rolls the whole transaction
//!   back, and what follows would autocommit.
//! - BEGIN sets the savepoint `txn_0` in the same request, and COMMIT releases it first. If it is
//!   gone, the transaction has ended in between, and COMMIT does not run. Each request that sets
//!   another savepoint, or rolls back to one, sets `txn_0` anew: it is always the innermost one of
//!   ours, so that it can be released, as a proof, without the loss of another. A savepoint that
//!   the user sets on the raw connection does not survive that.
//! - The time limits are settings of the session. BEGIN keeps what they were in variables, and the
//!   end of the transaction sets them back.
//! - Some statements commit the transaction that they run in. They are refused inside of a scope.
//! - A cancel is a KILL on the control connection. It compares the epoch of the server first.
//! - Nobody can be asked what became of a COMMIT whose answer was lost.
//!
//! `/*! … */` runs on both servers, or from a version on; `/*M! … */` runs on MariaDB only, and
//! `/*!80000 … */` on MySQL only, since MariaDB skips that range of versions.

use std::borrow::Cow;
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryStreamExt;
use sqlx::mysql::{MySql, MySqlConnection};
use sqlx::{Connection, Describe, Either, Execute, Executor, Row, SqlStr};

/// The settings that BEGIN and COMMIT rely on. With other values they would mean something else.
macro_rules! relied_on {
    () => {
        "autocommit = 1, completion_type = 'NO_CHAIN'"
    };
}

mod binds;
mod codes;
mod control;
mod rules;

use self::binds::{placeholders, refuse_miscounted};
use self::codes::{SAVEPOINT_DOES_NOT_EXIST, number};
use self::control::GREETINGS;
use super::{
    Access, ConnectOptionsOf, Engine, Greeting, OwnLimits, Step, Wire, delegate_to_sqlx,
    dropped_in_flight,
};
use crate::engine::statement::Statement;
use crate::engine::{Backend, Target};
use crate::model::error::{Class, Error};
use crate::model::options::{Lacks, Options};

/// The query whether the session, or the storage engine, is read-only.
const ASK_READ_ONLY: &str =
    "SELECT @@innodb_read_only /*M! OR @@tx_read_only */ /*!80000 OR @@transaction_read_only */";
/// The text of the error of a check on a read-only session.
const ONLY_READS: &str =
    "refused: the session only reads, as `transaction_read_only` or `innodb_read_only` says";

/// The row that ends the answer to a [`look!`].
const LOOKED: i64 = 8_129_473_568;

/// SQL that finds out something about the session. The row at its end tells the answer from that of
/// another statement; its LIMIT takes the place of `sql_select_limit`.
macro_rules! look {
    ($sql:literal) => {
        concat!($sql, "; SELECT 8129473568 LIMIT 1")
    };
}

/// Sets the limits back to what the session had before [`limits`].
macro_rules! unlimited {
    () => {
        "SET SESSION wait_timeout = @txn_wait_timeout \
         /*M! , max_statement_time = @txn_statement_time */ \
         /*!80000 , max_execution_time = @txn_statement_time */"
    };
}

impl Engine for MySql {
    const SYSTEM: &'static str = "mysql";
    const LACKS: Lacks = Lacks {
        deferrable: Some("MySQL and MariaDB have no deferrable transactions: remove `deferrable`"),
        weak_isolation: None,
        second_writer: None,
    };
    /// The ROLLBACK ends a transaction that was chained to the one before. Outside of a transaction
    /// it does no harm.
    const RESTORE: Option<&'static str> = Some(concat!("SET ", relied_on!(), "; ROLLBACK"));
    const NOTHING: &'static str = "DO 0";
    /// The savepoint of [`in_begun_transaction`](Self::in_begun_transaction) stays the innermost
    /// one.
    const ANCHOR: &'static str = "; SAVEPOINT txn_0";

    const DROPS_BREAK: bool = true;

    #[cfg(feature = "metrics")]
    fn address(options: &ConnectOptionsOf<Self>) -> String {
        let database = options.get_database().unwrap_or_default();
        match options.get_socket() {
            Some(socket) => format!("{}/{database}", socket.display()),
            None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
        }
    }

    async fn greet(
        connection: &mut MySqlConnection,
        _options: &ConnectOptionsOf<Self>,
        greeting: &Greeting,
    ) -> Result<Backend, sqlx::Error> {
        let row = greeting.greet::<Self>(connection, &GREETINGS).await?;
        let target = Target {
            id: row.try_get(0)?,
            server: row.try_get::<Option<String>, _>(1)?.map(String::into),
            began: None,
            is_kept: false,
        };
        Ok(Backend::new(target, true, OwnLimits::default()))
    }

    /// Sends a ping. The driver reads the rest of the rows before it does.
    async fn drain(
        connection: &mut MySqlConnection,
        wire: Wire,
    ) -> Result<Option<sqlx::Error>, sqlx::Error> {
        if wire == Wire::Busy {
            // sqlx has lost its place in the protocol: to read on could hang, or take the answer
            // for that of another statement.
            return Err(dropped_in_flight());
        }
        let mut stale = None;
        loop {
            match connection.ping().await {
                Ok(()) => return Ok(stale),
                // The rest of the rows ends with an error of the statement itself. The ping was not
                // sent yet.
                Err(error @ sqlx::Error::Database(_)) if !Class::of(&error).is_loss() => {
                    stale.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn in_transaction(connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
        // In autocommit mode a savepoint is gone as soon as it is set, so that RELEASE does not
        // know its name.
        is_released(
            connection,
            look!("SAVEPOINT txn_probe; RELEASE SAVEPOINT txn_probe"),
        )
        .await
    }

    /// A procedure may have committed, and left another transaction open. That one does not have
    /// the savepoint that BEGIN has set.
    async fn in_begun_transaction(connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
        is_released(
            connection,
            look!("RELEASE SAVEPOINT txn_0; SAVEPOINT txn_0"),
        )
        .await
    }

    fn begin(options: &Options, limit: Option<Duration>, _: OwnLimits) -> Cow<'static, str> {
        // COMMIT releases this savepoint to prove that the transaction is still the same.
        let start = match options.read_only {
            true => "START TRANSACTION READ ONLY; SAVEPOINT txn_0",
            false => "START TRANSACTION; SAVEPOINT txn_0",
        };
        let mut begin = Cow::Borrowed(start);
        if let Some(isolation) = options.isolation {
            let isolation = isolation.as_sql();
            begin = format!("SET TRANSACTION ISOLATION LEVEL {isolation}; {begin}").into();
        }
        if let Some(limit) = limit {
            begin = format!("{}; {begin}", limits(limit)).into();
        }
        begin
    }

    fn commit(access: Access) -> &'static str {
        // A COMMIT alone returns Ok after a deadlock or an implicit commit. Then the savepoint is
        // gone, and its RELEASE fails.
        match access.limited {
            true => concat!("RELEASE SAVEPOINT txn_0; COMMIT; ", unlimited!()),
            false => "RELEASE SAVEPOINT txn_0; COMMIT",
        }
    }

    fn rollback(access: Access) -> &'static str {
        match access.limited {
            true => concat!("ROLLBACK; ", unlimited!()),
            false => "ROLLBACK",
        }
    }

    async fn check_writes(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        // A read-only server refuses this whatever its sessions are set to. What they are set to is
        // asked for afterwards.
        connection
            .execute("START TRANSACTION READ WRITE; ROLLBACK")
            .await?;
        let row = connection.fetch_one(ASK_READ_ONLY).await?;
        match row.try_get(0)? {
            false => Ok(()),
            true => Err(Error::refused("a check", ONLY_READS).into()),
        }
    }

    fn fetch_many<'e, 'q: 'e, E>(
        connection: &'e mut MySqlConnection,
        query: E,
    ) -> BoxStream<'e, Result<Step<Self>, sqlx::Error>>
    where
        E: Execute<'q, Self> + 'q,
    {
        // sqlx notices a forgotten bind only when it already waits for an answer, which costs the
        // connection. So it is looked for here.
        let statement = Statement::new(query);
        match statement.binds() {
            Some(given) if given != placeholders(statement.as_str()) => {
                Box::pin(async_stream::try_stream! {
                    refuse_miscounted(connection, &statement, given).await?;
                    let mut steps = Executor::fetch_many(connection, statement);
                    while let Some(step) = steps.try_next().await? {
                        yield step;
                    }
                })
            }
            _ => Executor::fetch_many(connection, statement),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        connection: &'e mut MySqlConnection,
        query: E,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, sqlx::Error>>
    where
        E: Execute<'q, Self> + 'q,
    {
        // sqlx's own method stops reading at the first row, in the middle of the exchange.
        let mut steps = Self::fetch_many(connection, query);
        Box::pin(async move {
            let mut first = None;
            while let Some(step) = steps.try_next().await? {
                if let (Either::Right(row), None) = (step, &first) {
                    first = Some(row);
                }
            }
            Ok(first)
        })
    }

    delegate_to_sqlx! { all but fetch_many }
}

/// Runs a [`look!`] that releases a savepoint, and returns whether there was one.
///
/// # Errors
///
/// If the answer is that of something else. sqlx does not count all that it sends: a `ping` on the
/// raw connection whose future was dropped leaves an answer behind, and from then on each statement
/// gets the answer of the one before it.
async fn is_released(
    connection: &mut MySqlConnection,
    sql: &'static str,
) -> Result<bool, sqlx::Error> {
    match <MySql as Engine>::fetch_optional(connection, sql).await {
        Ok(Some(row)) if matches!(row.try_get(0), Ok(LOOKED)) => Ok(true),
        Ok(_) => Err(dropped_in_flight()),
        Err(sqlx::Error::Database(error)) if number(&*error) == SAVEPOINT_DOES_NOT_EXIST => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The longest limits that the servers accept: a year, and 32 bits of milliseconds.
const LONGEST_SECONDS: u64 = 31_536_000;
const LONGEST_MS: u64 = u32::MAX as u64;

/// The SQL that sets the limits of the session to `limit`, unless they are shorter. What they were
/// is kept in variables, and set back at the end of the transaction.
///
/// The limit for an idle connection counts whole seconds. The limit of a statement has another name
/// on each server, and 0 means none.
fn limits(limit: Duration) -> String {
    let idle = limit.as_secs().saturating_add(1).min(LONGEST_SECONDS);
    let limit = limit.min(Duration::from_secs(LONGEST_SECONDS));
    let statement = format!("{}.{:03}", limit.as_secs(), limit.subsec_millis());
    let ms = u64::try_from(limit.as_millis()).map_or(LONGEST_MS, |ms| ms.min(LONGEST_MS));
    format!(
        "SET @txn_wait_timeout = @@SESSION.wait_timeout, \
         SESSION wait_timeout = LEAST(@@SESSION.wait_timeout, {idle}) \
         /*M! , @txn_statement_time = @@SESSION.max_statement_time, SESSION max_statement_time = \
         IF(@@SESSION.max_statement_time = 0, {statement}, \
         LEAST(@@SESSION.max_statement_time, {statement})) */ \
         /*!80000 , @txn_statement_time = @@SESSION.max_execution_time, \
         SESSION max_execution_time = \
         IF(@@SESSION.max_execution_time = 0, {ms}, LEAST(@@SESSION.max_execution_time, {ms})) */"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::options::Isolation;

    #[test]
    fn begin_carries_everything_in_one_packet() {
        let plain = Options::new("f");
        assert_eq!(
            MySql::begin(&plain, None, OwnLimits::default()),
            "START TRANSACTION; SAVEPOINT txn_0"
        );
        let full = plain.isolation(Isolation::RepeatableRead).read_only();
        assert_eq!(
            MySql::begin(&full, None, OwnLimits::default()),
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION READ ONLY; \
             SAVEPOINT txn_0"
        );
    }
}
