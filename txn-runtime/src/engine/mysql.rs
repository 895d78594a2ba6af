//! MySQL and MariaDB.
//!
//! - A future that is dropped in flight costs the connection, since the driver loses its place in
//!   the protocol. Only a row stream that is dropped between two rows can be drained.
//! - Most failed statements leave the transaction as it is. A deadlock rolls the whole transaction
//!   back, and what follows would autocommit.
//! - BEGIN sets the savepoint `txn_0` in the same request, and COMMIT releases it first. If it is
//!   gone, the transaction has ended in between, and COMMIT does not run.
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
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySql, MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{Connection, Describe, Either, Execute, Executor, Row, SqlStr};

mod binds;

use self::binds::{placeholders, refuse_miscounted};
use super::{
    Access, ConnectOptionsOf, Effect, Engine, Greeting, OwnLimits, Refusal, Resets, Step, Wire,
    delegate_to_sqlx, dropped_in_flight,
};
use crate::engine::statement::{Statement, is_one_of};
use crate::engine::{Backend, Target};
use crate::model::error::class::mysql::{
    CHECKREAD, DEADLOCK, LOCK_TABLE_FULL, LOCK_WAIT_TIMEOUT, is_of_the_program,
};
use crate::model::error::{Class, Error};
use crate::model::options::{Lacks, Options};

/// Error numbers: <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
const NO_SUCH_THREAD: u16 = 1094;
const TOO_MANY_CONNECTIONS: u16 = 1040;
const SAVEPOINT_DOES_NOT_EXIST: u16 = 1305;
const PREVENTED_BY_OPTION: u16 = 1290;
const READ_ONLY_TRANSACTION: u16 = 1792;
const READ_ONLY_MODE: u16 = 1836;
/// A storage engine could not commit, and the server does not say how far it came.
const ERROR_DURING_COMMIT: u16 = 1180;
/// The same on `TiDB`, which speaks the same protocol.
const RESULT_UNDETERMINED: u16 = 8501;

/// A table, a variable or a function is missing or turned off on this server, or forbidden for this
/// account.
const NOT_TO_BE_ASKED: [u16; 10] = [1109, 1142, 1143, 1146, 1193, 1227, 1305, 1370, 1682, 3167];

/// The epoch of the server: where it is, the random part that all its UUIDs have in common since it
/// started (the clock sequence, and the node if it has no address), and the second in which it
/// started. That second is exact, because both times are taken at the beginning of the statement.
/// All of it is hashed into one word, since a path may contain anything.
macro_rules! server {
    () => {
        "SHA2(CONCAT_WS('/', @@hostname, @@port, @@socket, @@datadir, \
         /*!50700 @@server_uuid, */ SUBSTR(UUID(), 20), \
         UNIX_TIMESTAMP() - (SELECT variable_value FROM /*M! information_schema.global_status */ \
         /*!50700 performance_schema.global_status */ WHERE variable_name = 'Uptime')), 256)"
    };
}

/// The settings that BEGIN and COMMIT rely on. With other values they would mean something else.
macro_rules! relied_on {
    () => {
        "autocommit = 1, completion_type = 'NO_CHAIN'"
    };
}

/// The greetings ask for less and less. They set what the runtime relies on, since the
/// configuration of the server, or its `init_connect`, may have set something else for everybody.
const GREETINGS: [&str; 2] = [
    concat!(
        "SET ",
        relied_on!(),
        "; SELECT CONNECTION_ID(), ",
        server!()
    ),
    concat!("SET ", relied_on!(), "; SELECT CONNECTION_ID(), NULL"),
];

/// The options that [`PREVENTED_BY_OPTION`] names on a read-only server.
const READ_ONLY_OPTIONS: &[&str] = &["read-only", "read_only"];
/// The query whether the session, or the storage engine, is read-only.
const ASK_READ_ONLY: &str =
    "SELECT @@innodb_read_only /*M! OR @@tx_read_only */ /*!80000 OR @@transaction_read_only */";
/// The text of the error of a check on a read-only session.
const ONLY_READS: &str =
    "refused: the session only reads, as `transaction_read_only` or `innodb_read_only` says";

/// The question who waits for whose lock, up to the list of sessions. Each server has tables of its
/// own for that.
const WHO_BLOCKS: &str = "/*M! \
    SELECT w.trx_mysql_thread_id, b.trx_mysql_thread_id FROM information_schema.innodb_lock_waits \
    JOIN information_schema.innodb_trx w ON w.trx_id = requesting_trx_id \
    JOIN information_schema.innodb_trx b ON b.trx_id = blocking_trx_id \
    WHERE w.trx_mysql_thread_id IN */ /*!80000 \
    SELECT w.processlist_id, b.processlist_id FROM performance_schema.data_lock_waits \
    JOIN performance_schema.threads w ON w.thread_id = requesting_thread_id \
    JOIN performance_schema.threads b ON b.thread_id = blocking_thread_id \
    WHERE w.processlist_id IN */";

/// Sets the limits back to what the session had before [`limits`].
macro_rules! unlimited {
    () => {
        "SET SESSION wait_timeout = @txn_wait_timeout \
         /*M! , max_statement_time = @txn_statement_time */ \
         /*!80000 , max_execution_time = @txn_statement_time */"
    };
}

/// The first keywords of statements that commit the transaction that they run in.
const IMPLICIT_COMMITS: &[&str] = &[
    "ALTER",
    "CACHE",
    "CHANGE",
    "CHECK",
    "FLUSH",
    "GRANT",
    "INSTALL",
    "LOCK",
    "OPTIMIZE",
    "RENAME",
    "REPAIR",
    "RESET",
    "REVOKE",
    "STOP",
    "TRUNCATE",
    "UNINSTALL",
    "UNLOCK",
];

/// The driver does not offer `COM_RESET_CONNECTION`, and SQL has nothing like it. So a session that
/// has to be reset is closed.
impl Resets for MySql {
    const LEAVES: &'static [&'static str] = &[
        "BACKUP",
        "CALL",
        "DEALLOCATE",
        "DO",
        "EXECUTE",
        "FLUSH",
        "HANDLER",
        "LOCK",
        "UNLOCK",
        "USE",
    ];
    const HAS_VARIABLES: bool = true;
}

impl Engine for MySql {
    const SYSTEM: &'static str = "mysql";
    const LACKS: Lacks = Lacks {
        deferrable: Some("MySQL and MariaDB have no deferrable transactions: remove `deferrable`"),
        weak_isolation: None,
        second_writer: None,
    };
    const RUNS_OTHERS: &'static [&'static str] = &[
        "CALL", "CASE", "EXECUTE", "FOR", "IF", "LOOP", "REPEAT", "WHILE",
    ];
    /// Without autocommit, or with chained transactions, COMMIT would begin another transaction.
    const RELIES_ON: &'static [(&'static str, &'static [&'static str])] = &[
        ("autocommit", &["1", "ON", "TRUE"]),
        ("completion_type", &["0", "NO_CHAIN"]),
    ];
    /// The ROLLBACK ends a transaction that was chained to the one before. Outside of a transaction
    /// it does no harm.
    const RESTORE: Option<&'static str> = Some(concat!("SET ", relied_on!(), "; ROLLBACK"));
    const NOTHING: &'static str = "DO 0";
    /// The savepoint that BEGIN has set. A later transaction does not have it.
    const PROOF: Option<&'static str> = Some("RELEASE SAVEPOINT txn_0");

    /// <https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html>
    fn commits_implicitly(keyword: &str, following: &mut dyn Iterator<Item = &str>) -> bool {
        let is = |known: &[&str]| is_one_of(known, keyword);
        if is(&["CREATE", "DROP"]) {
            // OR REPLACE may come before TEMPORARY.
            return !following
                .take(3)
                .any(|word| is_one_of(&["TEMPORARY"], word));
        }
        let mut follows =
            |known: &[&str]| following.next().is_some_and(|word| is_one_of(known, word));
        is(IMPLICIT_COMMITS)
            // On MariaDB, ANALYZE followed by a query runs and explains it, and commits nothing.
            || is(&["ANALYZE"]) && follows(&["TABLE", "LOCAL", "NO"])
            || is(&["LOAD"]) && follows(&["INDEX"])
            || is(&["SET"]) && follows(&["PASSWORD"])
    }

    /// `BEGIN NOT ATOMIC` on MariaDB.
    fn is_block(keyword: &str, following: &mut dyn Iterator<Item = &str>) -> bool {
        let follows = following.next();
        keyword.eq_ignore_ascii_case("BEGIN")
            && follows.is_some_and(|word| is_one_of(&["NOT"], word))
    }

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

    fn refuses_greeting(error: &dyn DatabaseError) -> bool {
        NOT_TO_BE_ASKED.contains(&number(error))
    }

    /// `ER_STATEMENT_TIMEOUT` on MariaDB, `ER_QUERY_TIMEOUT` on MySQL.
    const TOO_LONG: &'static [&'static str] = &["1969", "3024"];

    /// The request has a row for each session that says whether this is its server, and a KILL if
    /// it is. KILL takes no expression, so that it is prepared from a text.
    fn cancel(targets: &[Target]) -> String {
        let mut sql = concat!("SET @txn_server = ", server!()).to_owned();
        for (at, target) in targets.iter().enumerate() {
            let id = target.id;
            let server = target.server.as_deref().unwrap_or_default();
            // A connection that will be closed anyway is killed whole: unlike KILL QUERY, that
            // cannot overtake the query that it is meant for. The KILL of a session that is gone
            // would fail and end the request, so that the process list is asked first.
            let kill = if target.is_kept {
                "QUERY"
            } else {
                "CONNECTION"
            };
            sql += &format!(
                "; SELECT {at}, @txn_server = '{server}'; \
                 SET @txn_kill = IF(@txn_server = '{server}' AND EXISTS (SELECT 1 \
                 FROM information_schema.processlist WHERE id = {id}), \
                 'KILL {kill} {id}', 'DO 0'); \
                 PREPARE txn_kill FROM @txn_kill; EXECUTE txn_kill"
            );
        }
        sql
    }

    fn heard(row: &MySqlRow) -> Option<(i64, bool)> {
        let is_here: Option<i64> = row.try_get(1).ok()?;
        Some((row.try_get(0).ok()?, is_here == Some(1)))
    }

    fn is_gone(error: &dyn DatabaseError) -> bool {
        number(error) == NO_SUCH_THREAD
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
        match connection
            .execute("SAVEPOINT txn_probe; RELEASE SAVEPOINT txn_probe")
            .await
        {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) if number(&*error) == SAVEPOINT_DOES_NOT_EXIST => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn may_connect_soon(error: &dyn DatabaseError) -> bool {
        number(error) == TOO_MANY_CONNECTIONS
    }

    fn ask_who_blocks(sessions: &str) -> Option<String> {
        Some(format!("{WHO_BLOCKS} ({sessions})"))
    }

    fn blocked(row: &MySqlRow) -> Option<(u64, u64)> {
        Some((row.try_get(0).ok()?, row.try_get(1).ok()?))
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

    fn only_reads(error: &dyn DatabaseError) -> bool {
        match number(error) {
            READ_ONLY_TRANSACTION | READ_ONLY_MODE => true,
            // The message names the option in every language.
            PREVENTED_BY_OPTION => READ_ONLY_OPTIONS
                .iter()
                .any(|option| error.message().contains(option)),
            _ => false,
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

    /// Most errors undo their statement alone.
    fn effect(error: &dyn DatabaseError) -> Effect {
        match number(error) {
            DEADLOCK | LOCK_TABLE_FULL | CHECKREAD => Effect::Gone,
            // With innodb_rollback_on_timeout the server rolls the whole transaction back.
            LOCK_WAIT_TIMEOUT => Effect::Doubt,
            _ => Effect::None,
        }
    }

    fn refused_commit(error: &dyn DatabaseError) -> Option<Refusal> {
        (number(error) == SAVEPOINT_DOES_NOT_EXIST).then_some(Refusal::Ended)
    }

    fn ended_by_failed_commit(_error: &dyn DatabaseError) -> bool {
        false
    }

    fn leaves_commit_open(error: &dyn DatabaseError) -> bool {
        matches!(number(error), ERROR_DURING_COMMIT | RESULT_UNDETERMINED)
            || matches!(error.code().as_deref(), Some("40003" | "08007"))
    }

    fn is_out_of_step(error: &sqlx::Error) -> bool {
        match error {
            // sqlx now waits for the answer to a statement that it has not sent.
            sqlx::Error::Protocol(text) if is_of_the_program(text) => {
                text.contains("(sqlx_mysql::")
            }
            error => Class::of(error).is_loss(),
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

/// The number of the error; 0 if it is not one of MySQL.
fn number(error: &dyn DatabaseError) -> u16 {
    error
        .try_downcast_ref::<MySqlDatabaseError>()
        .map_or(0, MySqlDatabaseError::number)
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
