//! PostgreSQL.
//!
//! - The connection survives a dropped operation: its query is cancelled, and its answer drained.
//! - Any failed statement aborts the transaction. Until a rollback, at least to a savepoint, the
//!   server refuses everything.
//! - BEGIN takes the isolation level and the time limits along in one request. The limits are set
//!   with `SET LOCAL`, so that the end of the transaction unsets them.
//! - COMMIT is sent behind a SAVEPOINT, which fails in an aborted transaction and outside of one.
//! - A cancel is a query on the control connection. It compares the epoch of the server, and when
//!   the session was accepted, before it cancels what that process id does.
//! - If the answer to COMMIT is lost, `pg_xact_status` says what became of the transaction.

use std::borrow::Cow;
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnection, PgRow, Postgres};
use sqlx::{Connection, Describe, Execute, Executor, Row, SqlStr};

mod reset;

use super::{
    Access, ConnectOptionsOf, Effect, Engine, Greeting, OwnLimits, Refusal, Step, Wire,
    delegate_to_sqlx,
};
use crate::engine::statement::Dialect;
use crate::engine::{Backend, Target, Verified};
use crate::model::error::Class;
use crate::model::error::class::postgres::is_copy;
use crate::model::options::{Lacks, Options};

/// SQLSTATEs: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const IN_FAILED_TRANSACTION: &str = "25P02";
/// `read_only_sql_transaction`.
const READ_ONLY: &str = "25006";
/// `no_active_sql_transaction`.
const NO_ACTIVE_TRANSACTION: &str = "25P01";

/// The longest time limit that the server accepts: it counts milliseconds in 31 bits.
const LONGEST_MS: u64 = i32::MAX as u64;

/// The columns of [`OwnLimits`], in milliseconds. The limits come from the role, the database, the
/// connect options or a `SET`.
macro_rules! own_limits {
    () => {
        "(EXTRACT(EPOCH FROM current_setting('statement_timeout')::interval) \
         * 1000)::bigint AS txn_statement, \
         (EXTRACT(EPOCH FROM current_setting('idle_in_transaction_session_timeout')::interval) \
         * 1000)::bigint AS txn_idle"
    };
}

/// The epoch of the server: the system identifier, when it started, and when it last lost its
/// shared memory, as it does without a restart when one of its processes crashes.
///
/// After such a crash its statistics start again. Those of the archiver are read because nobody
/// resets them by hand. Before version 15 statistics came from a process that may keep the query
/// waiting, so that the lowest process id of the server's own processes is read there.
///
/// The timeline is no part of it: a server that has given a transaction an id can only follow
/// another server after a restart.
macro_rules! server {
    () => {
        "(SELECT system_identifier FROM pg_control_system()) || '/' || \
         (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint || '/' || \
         CASE WHEN current_setting('server_version_num')::int < 150000 \
         THEN (SELECT min(pid) FROM pg_stat_get_activity(NULL) WHERE usesysid IS NULL) \
         ELSE (SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint \
         FROM pg_stat_archiver) END"
    };
}

/// When the server accepted the session `$pid`. It is NULL for a role that is no member of the role
/// that logged in.
macro_rules! started {
    ($pid:literal) => {
        concat!(
            "(SELECT (extract(epoch FROM backend_start) * 1000000)::bigint \
             FROM pg_stat_get_activity(",
            $pid,
            "))"
        )
    };
}

/// Makes a backend end its query when its client is gone, and says whether it does. The check costs
/// a system call per second of query time. The setting came with version 14.
macro_rules! checks_client {
    () => {
        "CASE current_setting('client_connection_check_interval', true) \
         WHEN '0' THEN set_config('client_connection_check_interval', '1s', false) <> '0' \
         ELSE current_setting('client_connection_check_interval', true) IS NOT NULL END"
    };
}

/// The greeting: the id of the session, the epoch of the server, when the session was accepted,
/// whether it checks for its client, and its own limits.
macro_rules! greeting {
    ($server:expr, $started:expr, $checks_client:expr) => {
        concat!(
            "SELECT pg_backend_pid(), ",
            $server,
            ", ",
            $started,
            ", ",
            $checks_client,
            ", ",
            own_limits!()
        )
    };
}

/// The greetings ask for less and less. The setting cannot be made on every platform (22023), and
/// a role may lack the right to call any of these functions.
const GREETINGS: [&str; 5] = [
    greeting!(server!(), started!("pg_backend_pid()"), checks_client!()),
    greeting!(server!(), started!("pg_backend_pid()"), "false"),
    greeting!("NULL", started!("pg_backend_pid()"), checks_client!()),
    greeting!("NULL", started!("pg_backend_pid()"), "false"),
    greeting!("NULL", "NULL::bigint", "false"),
];

/// A session as a row of the VALUES that a cancel goes through.
fn as_row((at, target): (usize, &Target)) -> String {
    let server = target.server.as_deref().map(|server| format!("'{server}'"));
    let server = server.as_deref().unwrap_or("NULL");
    let began = target.began.map(|began| began.to_string());
    let began = began.as_deref().unwrap_or("NULL");
    let pid = target.id;
    format!("({pid}, {at}::bigint, {server}::text, {began}::bigint)")
}

impl Engine for Postgres {
    const SYSTEM: &'static str = "postgresql";
    const LACKS: Lacks = Lacks {
        deferrable: None,
        weak_isolation: None,
        second_writer: None,
    };

    const DIALECT: Dialect = Dialect {
        dollar_quotes: true,
    };

    #[cfg(feature = "metrics")]
    fn address(options: &ConnectOptionsOf<Self>) -> String {
        let host = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => options.get_host().to_owned(),
        };
        let database = options.get_database().unwrap_or(options.get_username());
        format!("{host}:{}/{database}", options.get_port())
    }

    async fn greet(
        connection: &mut PgConnection,
        _options: &ConnectOptionsOf<Self>,
        greeting: &Greeting,
    ) -> Result<Backend, sqlx::Error> {
        let row = greeting.greet::<Self>(connection, &GREETINGS).await?;
        let pid: i32 = row.try_get(0)?;
        let checks_client: bool = row.try_get(3)?;
        let target = Target {
            id: pid.unsigned_abs().into(),
            server: row.try_get::<Option<String>, _>(1)?.map(String::into),
            began: row.try_get(2)?,
            is_kept: false,
        };
        Ok(Backend::new(target, !checks_client, Self::own_limits(&row)))
    }

    /// A refusal is for good if it is about a value, a right or a feature.
    fn refuses_greeting(error: &dyn DatabaseError) -> bool {
        // An impossible value, a missing right, or a feature that the server does not have.
        let refused = |code: &str| {
            ["22", "42", "0A"]
                .iter()
                .any(|class| code.starts_with(class))
        };
        error.code().is_some_and(|code| refused(&code))
    }

    /// `query_canceled`.
    const TOO_LONG: &'static [&'static str] = &["57014"];

    fn tells_apart(target: &Target) -> bool {
        target.server.is_some() || target.began.is_some()
    }

    /// One SELECT over a list of sessions. `OFFSET 0` keeps the planner from computing the epoch of
    /// the server once for each of them.
    fn cancel(targets: &[Target]) -> String {
        let says_which = targets.iter().any(|target| target.server.is_some());
        let server = if says_which { server!() } else { "NULL::text" };
        let targets: Vec<_> = targets.iter().enumerate().map(as_row).collect();
        let targets = targets.join(", ");
        // Only the session that is meant gets to the THEN of the CASE.
        format!(
            concat!(
                "SELECT t.at, CASE WHEN (t.server IS NULL OR t.server = here.server) \
                 AND (t.began IS NULL OR t.began = ",
                started!("t.pid"),
                ") THEN pg_cancel_backend(t.pid) END, t.server = here.server \
                 FROM (SELECT {} AS server OFFSET 0) here, (VALUES {}) t (pid, at, server, began)"
            ),
            server, targets
        )
    }

    /// The server of the session was reached if it has tried to cancel, or if the epoch is the
    /// same.
    fn heard(row: &PgRow) -> Option<(i64, bool)> {
        let cancelled: Option<bool> = row.try_get(1).ok()?;
        let is_here: Option<bool> = row.try_get(2).ok()?;
        let heard = cancelled.is_some() || is_here == Some(true);
        Some((row.try_get(0).ok()?, heard))
    }

    /// Sends a ping, and reads up to its answer. The answer of the dropped operation comes before
    /// it.
    async fn drain(
        connection: &mut PgConnection,
        _wire: Wire,
    ) -> Result<Option<sqlx::Error>, sqlx::Error> {
        let mut stale = None;
        loop {
            let answered = match stale {
                None => connection.ping().await,
                // The answer to the ping comes after the error, and is on its way already.
                Some(_) => connection.flush().await,
            };
            match answered {
                Ok(()) => return Ok(stale),
                // The error of the dropped statement itself comes first; the answer to the ping is
                // still outstanding.
                Err(error @ sqlx::Error::Database(_)) if !Class::of(&error).is_loss() => {
                    stale.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn in_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        // This fails in autocommit mode, and in an aborted transaction with another code.
        let probe = "SAVEPOINT txn_probe; RELEASE SAVEPOINT txn_probe";
        match connection.execute(probe).await {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) => {
                Ok(error.code().as_deref() != Some(NO_ACTIVE_TRANSACTION))
            }
            Err(error) => Err(error),
        }
    }

    fn ask_who_blocks(sessions: &str) -> Option<String> {
        Some(format!(
            "SELECT pid, unnest(pg_blocking_pids(pid)) FROM unnest('{{{sessions}}}'::int[]) pid"
        ))
    }

    fn blocked(row: &PgRow) -> Option<(u64, u64)> {
        let session = |column| row.try_get::<i32, usize>(column).ok()?.try_into().ok();
        Some((session(0)?, session(1)?))
    }

    const ASK_LIMITS: Option<&'static str> = Some(concat!("SELECT ", own_limits!()));

    fn own_limits(row: &PgRow) -> OwnLimits {
        let limit = |name| {
            row.try_get::<i64, &str>(name)
                .ok()
                .map_or(0, i64::unsigned_abs)
        };
        OwnLimits {
            statement: limit("txn_statement"),
            idle: limit("txn_idle"),
        }
    }

    /// `BEGIN …; SET LOCAL …`. A limit is set only if the session has none, or a longer one.
    fn begin(options: &Options, limit: Option<Duration>, own: OwnLimits) -> Cow<'static, str> {
        let mut begin = Cow::Borrowed("BEGIN");
        if let Some(isolation) = options.isolation {
            begin += " ISOLATION LEVEL ";
            begin += isolation.as_sql();
        }
        if options.read_only {
            begin += " READ ONLY";
        }
        if options.deferrable {
            begin += " DEFERRABLE";
        }
        let Some(limit) = limit else {
            return begin;
        };
        let ms = u64::try_from(limit.as_millis()).map_or(LONGEST_MS, |ms| ms.min(LONGEST_MS));
        let limit = ms.to_string();
        // SET takes no snapshot. A query would, before the first statement of the body.
        for (name, own) in [
            ("statement_timeout", own.statement),
            ("idle_in_transaction_session_timeout", own.idle),
        ] {
            if own == 0 || own > ms {
                let begin = begin.to_mut();
                for part in ["; SET LOCAL ", name, " = ", &limit] {
                    begin.push_str(part);
                }
            }
        }
        begin
    }

    fn may_connect_soon(error: &dyn DatabaseError) -> bool {
        // too_many_connections, cannot_connect_now: it is starting up
        matches!(error.code().as_deref(), Some("53300" | "57P03"))
    }

    /// The transaction gets an id now, which costs the server a little even if it never writes.
    const IDENTIFY: Option<&'static str> = Some("; SELECT pg_current_xact_id()::text");

    fn transaction_id(row: &PgRow) -> Option<String> {
        row.try_get(0).ok()
    }

    fn ask_about(transaction: &str, server: &str) -> Option<String> {
        Some(format!(
            concat!(
                "SELECT CASE WHEN ",
                server!(),
                " = '{}' THEN pg_xact_status('{}'::xid8) ELSE 'elsewhere' END"
            ),
            server, transaction
        ))
    }

    fn verified(row: &PgRow) -> Verified {
        match row.try_get(0) {
            Ok(Some("committed")) => Verified::Committed,
            Ok(Some("aborted")) => Verified::Aborted,
            Ok(Some("in progress")) => Verified::InProgress,
            Ok(Some("elsewhere")) => Verified::Elsewhere,
            _ => Verified::Forgotten,
        }
    }

    fn commit(_access: Access) -> &'static str {
        // A COMMIT alone returns Ok in an aborted transaction, which it rolls back, and outside of
        // one.
        "SAVEPOINT txn_end; COMMIT"
    }

    /// `begin_with` sends a simple query and waits until the server is ready, and does nothing else
    /// that a query does in the driver.
    const ENDS_CHEAPLY: bool = true;

    /// The setting is undone by RELEASE as well as by ROLLBACK TO.
    const SANDBOX_READ_ONLY: Option<&'static str> = Some("SET LOCAL transaction_read_only = on");

    fn sandbox_commit(_access: Access) -> &'static str {
        // Deferred constraints are checked as at a commit, and are deferred again afterwards.
        "SAVEPOINT txn_end; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO SAVEPOINT txn_end; \
         RELEASE SAVEPOINT txn_box; SAVEPOINT txn_box"
    }

    fn only_reads(error: &dyn DatabaseError) -> bool {
        error.code().as_deref() == Some(READ_ONLY)
    }

    async fn check_writes(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // A read-only server refuses DROP before it looks for the table. A standby refuses to give
        // a transaction id.
        let write = "BEGIN; SET LOCAL client_min_messages = warning; \
            DROP TABLE IF EXISTS pg_temp.txn_check_writes; SELECT txid_current(); ROLLBACK";
        connection.execute(write).await.map(drop)
    }

    fn effect(_error: &dyn DatabaseError) -> Effect {
        Effect::Failed
    }

    fn refused_commit(error: &dyn DatabaseError) -> Option<Refusal> {
        match error.code().as_deref() {
            Some(IN_FAILED_TRANSACTION) => Some(Refusal::Aborted),
            Some(NO_ACTIVE_TRANSACTION) => Some(Refusal::Ended),
            _ => None,
        }
    }

    fn ended_by_failed_commit(error: &dyn DatabaseError) -> bool {
        // Constraints and conflicts fail the COMMIT itself. Anything else, a cancel among them, may
        // have hit the SAVEPOINT before it, and then the transaction is aborted and still open.
        let code = error.code();
        let is_of_commit = |code: &str| code.starts_with("23") || code.starts_with("40");
        code.is_some_and(|code| code == NO_ACTIVE_TRANSACTION || is_of_commit(&code))
    }

    fn is_out_of_step(error: &sqlx::Error) -> bool {
        match error {
            sqlx::Error::Protocol(text) if is_copy(text) => true,
            error => Class::of(error).is_loss(),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        connection: &'e mut PgConnection,
        query: E,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, sqlx::Error>>
    where
        E: Execute<'q, Self> + 'q,
    {
        Executor::fetch_optional(connection, query)
    }

    delegate_to_sqlx!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::options::Isolation;

    fn own(statement: u64, idle: u64) -> OwnLimits {
        OwnLimits { statement, idle }
    }

    #[test]
    fn a_limit_is_set_only_where_the_session_has_none_that_is_shorter() {
        let begin = |ms, own| {
            let limit = Some(Duration::from_millis(ms));
            Postgres::begin(&Options::new("f"), limit, own).into_owned()
        };
        let statement = "; SET LOCAL statement_timeout = 900";
        let idle = "; SET LOCAL idle_in_transaction_session_timeout = 900";
        for (limits, set) in [
            (own(0, 0), format!("{statement}{idle}")),
            (own(901, 10_000), format!("{statement}{idle}")),
            (own(500, 0), idle.to_owned()),
            (own(0, 900), statement.to_owned()),
            (own(1, 1), String::new()),
        ] {
            assert_eq!(begin(900, limits), format!("BEGIN{set}"), "{limits:?}");
        }
        let longest = begin(u64::MAX, own(0, 1));
        assert_eq!(longest, "BEGIN; SET LOCAL statement_timeout = 2147483647");
    }

    #[test]
    fn begin_carries_everything_in_one_statement() {
        let plain = Options::new("f");
        assert_eq!(Postgres::begin(&plain, None, own(0, 0)), "BEGIN");
        let full = plain
            .isolation(Isolation::Serializable)
            .read_only()
            .deferrable();
        assert_eq!(
            Postgres::begin(&full, None, own(0, 0)),
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE"
        );
    }
}
