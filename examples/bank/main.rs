//! A bank: posts 20,000 transfers between 1,000 accounts, 32 at a time, and proves afterwards that no cent was lost.
//!
//! ```text
//! cargo run --release --example bank
//! cargo run --release --example bank --features postgres -- --database postgres://localhost/test
//! cargo run --release --example bank --features mysql -- --database mysql://root@localhost/test
//! ```
//!
//! What to read it for:
//!
//! - `posting.rs`: annotated functions that call each other. A transfer is one transaction; its fee is nested and may
//!   fail alone; a refusal is recorded in a transaction of its own.
//! - `run.rs`: many of them at a time on one `Db`, and the retry of those that the engine gave up.
//! - `schema.rs`: loading in one transaction, and an audit in a read-only one.
//! - `sqlite.rs`, `postgres.rs`, `mysql.rs`: what differs between the engines. Each includes the three files above as
//!   they would stand in a program that knows its engine.
//! - `input.rs`, `report.rs`, `domain.rs`: CSV in, a table out; nothing of txn in them.
//!
//! It drops and creates the tables `txn_bank_*` in the database it is given.

#![allow(
    clippy::duplicate_mod,
    reason = "posting, run and schema are compiled once per engine"
)]

mod domain;
mod input;
mod report;

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::input::Input;
use crate::report::Report;

/// Posts transfers between accounts, and checks that no cent was lost.
#[derive(Parser)]
#[command(name = "bank")]
struct Arguments {
    /// `sqlite://FILE`, `postgres://…` or `mysql://…`; default: SQLite in a temporary file.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// CSV file with the columns id, owner, cents.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/accounts.csv"))]
    accounts: PathBuf,
    /// CSV file with the columns id, debtor, creditor, cents, fee.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/transfers.csv"))]
    transfers: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

#[derive(clap::Args, Clone, Copy)]
struct Limits {
    /// How many transfers are under way at a time.
    #[arg(long, value_name = "N", default_value = "32")]
    concurrency: NonZeroUsize,
    /// The most database sessions open at a time.
    #[arg(long, value_name = "N", default_value = "10")]
    sessions: NonZeroUsize,
}

#[tokio::main]
async fn main() -> ExitCode {
    match bank(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything adds up.
async fn bank(arguments: &Arguments) -> Result<bool> {
    let input = Input::read(&arguments.accounts, &arguments.transfers)?;
    for problem in input.problems() {
        eprintln!("skipped {problem}");
    }
    let report = run(arguments.database.as_deref(), arguments.limits, &input).await?;
    println!("{report}");
    Ok(report.is_sound())
}

async fn run(database: Option<&str>, limits: Limits, input: &Input) -> Result<Report> {
    let Some(url) = database else {
        let directory = tempfile::tempdir().context("make a temporary directory")?;
        let options = sqlite::temporary(&directory.path().join("bank.db"));
        return sqlite::run::run(options, limits, input).await;
    };
    // The URL may hold a password, so no message repeats it.
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        "sqlite" => sqlite::run::run(sqlite::options(url)?, limits, input).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let options = url.parse().context("--database: not a PostgreSQL URL")?;
            postgres::run::run(options, limits, input).await
        }
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => {
            let options = url.parse().context("--database: not a MySQL URL")?;
            mysql::run::run(options, limits, input).await
        }
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => built_without("postgres"),
        #[cfg(not(feature = "mysql"))]
        "mysql" | "mariadb" => built_without("mysql"),
        _ => bail!("--database: expected sqlite://FILE, postgres://… or mysql://…"),
    }
}

#[cfg(not(all(feature = "postgres", feature = "mysql")))]
fn built_without(engine: &str) -> Result<Report> {
    bail!(
        "built without this engine; run `cargo run --example bank --features {engine} -- --database …`"
    )
}
