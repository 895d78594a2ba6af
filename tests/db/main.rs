//! Behaviour against real databases: one binary, since each would link three drivers, with one module per capability.
//!
//! Every module is compiled once per engine: its tests are `sqlite::outcome::…`, `postgres::outcome::…`,
//! `mysql::outcome::…`, and name the engine under test as `DB`. What differs between engines is in `engine.rs`.

// A test says what it is about by its name.
#![allow(missing_docs)]

mod engine;
mod fixture;

/// The modules of every engine.
macro_rules! on {
    ($engine:ident, $database:ident) => {
        #[path = "cases"]
        mod $engine {
            pub(crate) use txn::$database as DB;

            #[allow(unused_imports)]
            pub(crate) use crate::{engine::TestEngine, fixture::*};

            mod conditions;
            mod conflicts;
            mod joining;
            mod outcome;
            mod statements;
        }
    };
}

on!(sqlite, Sqlite);
on!(postgres, Postgres);
on!(mysql, MySql);
