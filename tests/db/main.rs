//! Behaviour against real databases, in one binary, since each binary links three drivers.
//!
//! There is one module per capability in `cases`. Each module is compiled once per engine: its
//! tests are `sqlite::outcome::…`, `postgres::outcome::…` and `mysql::outcome::…`, and the engine
//! under test is called `DB`. What differs between the engines is in `support`, as are all other
//! helpers.

#![allow(missing_docs, reason = "a test says what it is about by its name")]
#![allow(
    clippy::assertions_on_constants,
    reason = "what differs between the engines is a constant"
)]
#![allow(clippy::duplicate_mod, reason = "each engine runs the same cases")]

mod support;

/// The cases that every engine runs, and those that only this one does.
macro_rules! on {
    ($engine:ident, $database:ident, $($own:ident)*) => {
        #[path = "cases"]
        mod $engine {
            pub(crate) use txn::$database as DB;

            #[allow(unused_imports, reason = "what all cases start from; few need all of it")]
            pub(crate) use crate::support::{engine::TestEngine, fixture::*};

            mod autocommit;
            mod bad_input;
            mod breaker;
            mod cancellation;
            mod closing_a_handle;
            mod concurrency;
            mod conflicts;
            mod dropped_scopes;
            mod ended_inside;
            mod extreme_limits;
            mod foreign_outcomes;
            mod half_read_rows;
            mod health_check;
            mod hook_outcomes;
            mod hooks;
            mod isolation_and_access;
            mod joining;
            mod killed_process;
            mod memory_use;
            #[cfg(feature = "metrics")]
            mod metrics_recorded;
            mod nesting;
            mod observer;
            mod open_scopes;
            mod opening_sessions;
            mod operations_guide;
            mod outcome;
            mod overload;
            mod paused_clock;
            mod polls_executors;
            mod polls_handle;
            mod polls_hooks;
            mod polls_inside;
            mod polls_scopes;
            mod pool;
            mod pool_recovery;
            mod pool_upkeep;
            mod program_errors;
            mod raw_connection;
            mod runtimes;
            mod sandbox;
            mod schema_changes;
            mod scope_protection;
            mod session_callbacks;
            mod session_lifecycle;
            mod session_reset;
            mod spans;
            mod sqlx_errors;
            mod sqlx_surface;
            mod stack_use;
            mod statement_checks;
            mod statements_sent;
            mod strays;
            mod stress;
            mod swapped_transactions;
            mod timeout;
            $(mod $own;)*
        }
    };
}

/// The same, and the cases of an engine whose sessions a server has.
macro_rules! on_a_server {
    ($engine:ident, $database:ident, $($own:ident)*) => {
        on! {
            $engine, $database,
            broken_in_use
            cancel_requests
            crash_under_load
            data_loss
            dropped_in_flight
            drops_during_upkeep
            end_after_timeout
            forgotten_connections
            half_open
            half_run_commit
            open_scopes_on_servers
            outages
            read_only_server
            refused_greetings
            retry
            retry_reasons
            round_trips
            second_sessions
            server_faults
            server_input
            server_limits
            $($own)*
        }
    };
}

on! {
    sqlite, Sqlite,
    only_sqlite
    read_only_sqlite
    schema_changes_sqlite
    sqlite_full_rollback
    sqlite_locations
    sqlite_memory
    sqlite_settings
    sqlx_surface_sqlite
    stress_sqlite
}

on_a_server! {
    postgres, Postgres,
    locks_kept
    lost_commit
    lost_commit_other_server
    only_postgres
    only_postgres_codes
    open_scopes_postgres
    prepared_transactions
    schema_changes_postgres
    session_reset_postgres
    sqlx_surface_postgres
}

on_a_server! {
    mysql, MySql,
    autocommit_off
    only_mysql
    only_mysql_codes
    open_scopes_mysql
    read_only_mysql
    schema_changes_mysql
    sqlx_surface_mysql
}
