//! What PostgreSQL is asked from outside of a session, and how it names itself.

use sqlx::Row;
use sqlx::postgres::{PgRow, Postgres};

use crate::engine::{Controlled, Target, Verified};

/// The columns of [`OwnLimits`](crate::engine::OwnLimits), in milliseconds. The limits come from
/// the role, the database, the connect options or a `SET`.
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
pub(super) const GREETINGS: [&str; 5] = [
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

/// The query for [`OwnLimits`](crate::engine::OwnLimits) alone.
pub(super) const ASK_LIMITS: &str = concat!("SELECT ", own_limits!());

impl Controlled for Postgres {
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

    fn ask_who_blocks(sessions: &str) -> Option<String> {
        Some(format!(
            "SELECT pid, unnest(pg_blocking_pids(pid)) FROM unnest('{{{sessions}}}'::int[]) pid"
        ))
    }

    fn blocked(row: &PgRow) -> Option<(u64, u64)> {
        let session = |column| row.try_get::<i32, usize>(column).ok()?.try_into().ok();
        Some((session(0)?, session(1)?))
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
}
