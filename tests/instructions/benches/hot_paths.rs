//! The limits for the instructions of the hot paths, counted in user space over [`ROUNDS`] rounds.
//! The test command fails if a path needs more.
//!
//! Each limit is the count that was measured plus 3 %. If a change makes a path cheaper, lower its
//! limit.

#![allow(missing_docs, reason = "the macros make items without")]

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use sqlx::PgConnection;
use txn::{Db, Postgres, Tx};
use txn_instructions::{
    ROUNDS, Ready, connection, database, driver, joined, nested, plain, root, settled, taken,
    transaction, waited,
};

fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, instructions)]);
    LibraryBenchmarkConfig::default().tool(callgrind).clone()
}

macro_rules! hot_paths {
    ($($name:ident: $on:ident($path:ident) of $type:ty, $limit:literal;)+) => {
        mod ready {
            use super::*;

            $(
                pub(super) fn $name() -> Ready<$type> {
                    $on(&$path)
                }
            )+
        }

        $(
            #[library_benchmark(config = at_most($limit))]
            #[bench::warm(args = (), setup = ready::$name)]
            fn $name(mut ready: Ready<$type>) -> Ready<$type> {
                ready.run(ROUNDS, &$path);
                ready
            }
        )+

        library_benchmark_group!(name = hot_paths, benchmarks = [$($name),+]);
    };
}

hot_paths! {
    a_plain_call: transaction(plain) of Tx<Postgres>, 2_100;
    a_joined_scope: transaction(joined) of Tx<Postgres>, 17_000;
    a_nested_scope: transaction(nested) of Tx<Postgres>, 560_300;
    begin_and_commit_of_the_driver: connection(driver) of PgConnection, 859_500;
    a_root_scope: database(root) of Db<Postgres>, 790_200;
    a_dropped_transaction: database(settled) of Db<Postgres>, 1_197_700;
    two_sessions_taken: database(taken) of Db<Postgres>, 286_900;
    a_wait_between_them: database(waited) of Db<Postgres>, 420_800;
}

main!(
    config = LibraryBenchmarkConfig::default().pass_through_env("TXN_INSTRUCTIONS_URL"),
    library_benchmark_groups = hot_paths
);
