//! Behaviour against real databases: one binary, since each would link three drivers, with one module per capability.
//!
//! Every module is compiled once per engine: its tests are `sqlite::outcome::…`, `postgres::outcome::…`,
//! `mysql::outcome::…`, and name the engine under test as `DB`. What differs between engines is in `engine.rs`.

#![allow(missing_docs, reason = "a test says what it is about by its name")]
#![allow(
    clippy::assertions_on_constants,
    reason = "what differs between the engines is a constant"
)]
#![allow(clippy::duplicate_mod, reason = "each engine runs the same cases")]

mod child;
mod differences;
mod engine;
mod events;
mod fixture;
mod guide;
#[cfg(feature = "metrics")]
mod ledger;
mod limited;
mod observe;
mod polls;
mod proxy;
mod recorder;
mod remains;
mod remote;
mod statements_seen;
mod streams;
mod trial;
mod way;

/// The modules of every engine, and those that apply to this one.
macro_rules! on {
    ($engine:ident, $database:ident, $($own:ident)*) => {
        #[path = "cases"]
        mod $engine {
            pub(crate) use txn::$database as DB;

            #[allow(unused_imports, reason = "what all cases start from; few need all of it")]
            pub(crate) use crate::{engine::TestEngine, fixture::*};

            mod autocommit;
            mod bad_input;
            mod breaker;
            mod callbacks;
            mod cancellation;
            mod check;
            mod closing;
            mod conditions;
            mod conflicts;
            mod edges;
            mod ended_inside;
            mod exchanged;
            mod faults;
            #[cfg(feature = "metrics")]
            mod figures;
            mod half_read;
            mod hooks;
            mod hooks_told;
            mod joining;
            mod killed;
            mod longest;
            mod observing;
            mod operations;
            mod outcome;
            mod overload;
            mod paused_clock;
            mod polls_executors;
            mod polls_handle;
            mod polls_hooks;
            mod polls_inside;
            mod polls_scopes;
            mod pool;
            mod pool_upkeep;
            mod program_errors;
            mod protection;
            mod raw_connection;
            mod resetting;
            mod runtimes;
            mod sandbox;
            mod schema_changes;
            mod scopes;
            mod sessions;
            mod spans;
            mod sqlx_errors;
            mod sqlx_surface;
            mod statements;
            mod statements_sent;
            mod stress;
            mod timeout;
            $(mod $own;)*
        }
    };
}

on!(sqlite, Sqlite, only_sqlite read_only_sqlite schema_changes_sqlite sqlite_full sqlite_memory sqlite_places sqlite_settings sqlx_surface_sqlite stress_sqlite);
on!(postgres, Postgres, broken_in_use cancels cascade data_loss forgotten greetings half_commits half_open in_flight late leftovers locks_kept lost_commit lost_commit_elsewhere only_postgres only_postgres_codes outages own_limits prepared_transactions read_only_server reset_postgres retry retry_reasons round_trips schema_changes_postgres scopes_of_a_server scopes_postgres second_sessions server_faults server_input sqlx_surface_postgres);
on!(mysql, MySql, autocommit_off broken_in_use cancels cascade data_loss forgotten greetings half_commits half_open in_flight late leftovers only_mysql only_mysql_codes outages own_limits read_only_mysql read_only_server retry retry_reasons round_trips schema_changes_mysql scopes_mysql scopes_of_a_server second_sessions server_faults server_input sqlx_surface_mysql);
