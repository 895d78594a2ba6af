//! The settings and objects that the user of a session can leave on it, by engine.

use sqlx::Row;
use txn::{MySql, Postgres, Sqlite};

use crate::support::engine::TestEngine;

/// A statement, and the question to which it changes the answer.
pub(crate) type Leftover = (&'static str, &'static str);

pub(crate) trait SessionLeftovers: TestEngine {
    /// `left_over` stands for a name of the test's own.
    const LEFTOVERS: &'static [Leftover];
    /// A setting that is neither seen by the runtime nor undone at the end of its transaction. It
    /// is made by [`HIDDEN`](Self::HIDDEN).
    const HIDDEN: Option<Hidden> = None;
    /// A setting for `after_connect`, the question for it, and its answer.
    const SET_UP: (&'static str, &'static str, &'static str);
    /// Sessions are reset, and not closed.
    const IS_RESET: bool;

    fn text(row: &Self::Row) -> String;
}

/// A function that does what cannot be seen from outside.
pub(crate) struct Hidden {
    pub(crate) create: &'static str,
    pub(crate) call: &'static str,
    pub(crate) ask: &'static str,
}

impl SessionLeftovers for Postgres {
    const LEFTOVERS: &'static [Leftover] = &[
        ("SET search_path = pg_catalog", "SHOW search_path"),
        ("SET ROLE pg_monitor", "SELECT current_user::text"),
        (
            "SET SESSION AUTHORIZATION pg_monitor",
            "SELECT session_user::text",
        ),
        ("SET statement_timeout = 77777", "SHOW statement_timeout"),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SHOW default_transaction_isolation",
        ),
        (
            "CREATE TEMP TABLE left_over (id INT)",
            "SELECT COALESCE(to_regclass('pg_temp.left_over')::text, 'none')",
        ),
        (
            "SELECT 1 AS id INTO TEMPORARY left_over",
            "SELECT COALESCE(to_regclass('pg_temp.left_over')::text, 'none')",
        ),
        (
            "SELECT pg_advisory_lock(7)",
            "SELECT COUNT(*)::text FROM pg_locks \
             WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
        ),
        (
            "LISTEN left_over",
            "SELECT COUNT(*)::text FROM pg_listening_channels()",
        ),
        (
            "PREPARE left_over AS SELECT 1",
            "SELECT COUNT(*)::text FROM pg_prepared_statements WHERE from_sql",
        ),
        (
            "DECLARE left_over CURSOR WITH HOLD FOR SELECT 1",
            "SELECT COUNT(*)::text FROM pg_cursors WHERE is_holdable",
        ),
        (
            "SELECT set_config('application_name', 'left_over', false)",
            "SHOW application_name",
        ),
        (
            "DO $$ BEGIN PERFORM set_config('work_mem', '1MB', false); END $$",
            "SHOW work_mem",
        ),
        ("SELECT 1; SET work_mem = '2MB'", "SHOW work_mem"),
        (
            "RESET search_path; SET client_connection_check_interval = 0",
            "SHOW client_connection_check_interval",
        ),
    ];
    const HIDDEN: Option<Hidden> = Some(Hidden {
        create: "CREATE FUNCTION hides() RETURNS text LANGUAGE sql \
                 AS $$ SELECT set_config('work_mem', '3MB', false) $$",
        call: "SELECT hides()",
        ask: "SHOW work_mem",
    });
    const SET_UP: (&'static str, &'static str, &'static str) =
        ("SET work_mem = '5MB'", "SHOW work_mem", "5MB");
    const IS_RESET: bool = true;

    fn text(row: &Self::Row) -> String {
        row.get(0)
    }
}

impl SessionLeftovers for MySql {
    const LEFTOVERS: &'static [Leftover] = &[
        ("SET SESSION sql_mode = ''", "SELECT @@SESSION.sql_mode"),
        ("SET time_zone = '+07:00'", "SELECT @@SESSION.time_zone"),
        (
            "SET LOCAL lock_wait_timeout = 7777",
            "SELECT CAST(@@SESSION.lock_wait_timeout AS CHAR)",
        ),
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SELECT @@SESSION.tx_isolation",
        ),
        (
            "SELECT @left_over := 7",
            "SELECT COALESCE(CAST(@left_over AS CHAR), 'none')",
        ),
        (
            "CREATE TEMPORARY TABLE left_over (id INT)",
            "SELECT CAST(COUNT(*) AS CHAR) FROM left_over",
        ),
        (
            "SELECT GET_LOCK('left_over', 0)",
            "SELECT CAST(COALESCE(IS_USED_LOCK('left_over') = CONNECTION_ID(), 0) AS CHAR)",
        ),
        ("USE information_schema", "SELECT DATABASE()"),
        (
            "SELECT 1; SET @left_over = 8",
            "SELECT COALESCE(CAST(@left_over AS CHAR), 'none')",
        ),
    ];
    const HIDDEN: Option<Hidden> = Some(Hidden {
        create: "CREATE FUNCTION hides() RETURNS INT READS SQL DATA \
                 BEGIN SET SESSION lock_wait_timeout = 7777; RETURN 1; END",
        call: "SELECT hides()",
        ask: "SELECT CAST(@@SESSION.lock_wait_timeout AS CHAR)",
    });
    const SET_UP: (&'static str, &'static str, &'static str) = (
        "SET time_zone = '+05:00'",
        "SELECT @@SESSION.time_zone",
        "+05:00",
    );
    const IS_RESET: bool = false;

    fn text(row: &Self::Row) -> String {
        row.get(0)
    }
}

impl SessionLeftovers for Sqlite {
    const LEFTOVERS: &'static [Leftover] = &[
        ("PRAGMA cache_size = 99", "PRAGMA cache_size"),
        ("PRAGMA recursive_triggers(1)", "PRAGMA recursive_triggers"),
        ("SELECT 1; PRAGMA secure_delete = 2", "PRAGMA secure_delete"),
        (
            "CREATE TEMP TABLE left_over (id INT)",
            "SELECT COUNT(*) FROM sqlite_temp_schema",
        ),
        (
            "CREATE TABLE temp.left_over (id INT)",
            "SELECT COUNT(*) FROM sqlite_temp_schema",
        ),
        (
            "CREATE TEMP VIEW left_over AS SELECT 1",
            "SELECT COUNT(*) FROM sqlite_temp_schema",
        ),
        (
            "CREATE TEMP TRIGGER left_over AFTER DELETE ON t BEGIN SELECT 1; END",
            "SELECT COUNT(*) FROM sqlite_temp_schema",
        ),
    ];
    const SET_UP: (&'static str, &'static str, &'static str) =
        ("PRAGMA cache_size = 55", "PRAGMA cache_size", "55");
    const IS_RESET: bool = false;

    fn text(row: &Self::Row) -> String {
        row.get_unchecked(0)
    }
}
