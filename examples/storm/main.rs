//! A storm: thousands of scopes dropped at every moment, and afterwards the proof that nothing was lost.
//!
//! ```text
//! cargo run --release --example storm
//! cargo run --release --example storm --features postgres -- --engine postgres --faults
//! cargo run --release --example storm --features mysql -- --database mysql://root@localhost/test --seconds 60
//! cargo run --release --example storm --features postgres -- --engine postgres --locks 1000
//! cargo run --release --example storm --features postgres -- --engine postgres --raw --no-slow
//! ```
//!
//! Transfers between accounts, by joined, nested and `requires_new` scopes; about half of them are dropped: by a
//! timeout, by aborting their task, by losing a `select!`, by a panic. With `--faults`, which needs a server of its own
//! (`--engine`), sessions are terminated, the server crashes, and the network is slow, cut or half-open; after them the same load
//! as before them has to be carried as before, on the same handle and without help. The program fails if anything is lost, or if less
//! than half of the throughput comes back within 30 s. `--raw` sends the same through sqlx alone, to compare, and always succeeds. `--seed` repeats a
//! run as far as the scheduler lets it: what each scope does and how it ends is the same, when it does is not.
//!
//! - `transfer.rs`: the scopes. `raw.rs`: the same on sqlx.
//! - `order.rs`, `strike.rs`, `witness.rs`: what is to become of a scope, and seeing to it.
//! - `record.rs`, `ledger.rs`: what was promised of it, and whether it is so.
//! - `faults.rs`, `network.rs`: the weather.
//! - `calm.rs`: the throughput before the faults, and its return after them.
//! - `locks.rs`: how soon a dropped scope's locks are free.
//! - `sqlite.rs`, `postgres.rs`, `mysql.rs`: what differs between the engines; each includes the files that know theirs.
//!
//! It drops and creates the tables `txn_storm_*` in the database it is given.

#![allow(
    clippy::duplicate_mod,
    reason = "the files that know their engine are compiled once per engine"
)]
#![cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    allow(
        dead_code,
        unused_macros,
        reason = "faults are for servers, and SQLite has none"
    )
)]

mod calm;
mod drive;
mod events;
mod faults;
mod journal;
mod ledger;
mod network;
mod order;
mod place;
mod record;
mod report;
mod settings;
mod strike;
mod subject;
mod summary;
mod witness;

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::panic;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::place::Place;
use crate::record::Lightning;
use crate::report::Report;
use crate::settings::{Arguments, Engine, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    hush_lightning();
    let arguments = Arguments::parse();
    match Box::pin(run(&arguments)).await {
        Ok(report) => {
            println!("{report}");
            for (event, count) in report.events() {
                eprintln!("{count} × {event}");
            }
            ExitCode::from(u8::from(!report.is_sound() && !arguments.settings.raw))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Panics on purpose are not worth a message each.
fn hush_lightning() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !panic.payload().is::<Lightning>() {
            default(panic);
        }
    }));
}

async fn run(arguments: &Arguments) -> Result<Report> {
    let settings = &arguments.settings;
    match arguments.engine()? {
        Engine::Sqlite => {
            let place = place::sqlite(arguments)?;
            Box::pin(sqlite::run::run(place, settings)).await
        }
        #[cfg(feature = "postgres")]
        Engine::Postgres => {
            let place = place::postgres(arguments).await?;
            Box::pin(postgres::run::run(place, settings)).await
        }
        #[cfg(feature = "mysql")]
        Engine::Mysql => {
            let place = place::mysql(arguments).await?;
            Box::pin(mysql::run::run(place, settings)).await
        }
        #[cfg(not(all(feature = "postgres", feature = "mysql")))]
        engine => anyhow::bail!("built without this engine; add `--features {engine}`"),
    }
}
