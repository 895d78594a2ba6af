//! A bank: posts 20,000 transfers between 1,000 accounts, 32 at a time, and proves afterwards that
//! no cent was lost.
//!
//! ```text
//! cargo run --release --example bank
//! cargo run --release --example bank -- --database postgres://localhost/test
//! cargo run --release --example bank -- --database mysql://root@localhost/test
//! ```
//!
//! The files, and what they show:
//!
//! - `posting.rs`: annotated functions that call each other. A transfer is one transaction, its fee
//!   is nested and may fail alone, and a refusal is recorded in a separate transaction.
//! - `run.rs`: many transfers at a time on one `Db`, with retries of those that the engine aborted.
//! - `schema.rs`: loading in one transaction, and an audit in a read-only one.
//! - `main.rs`: one program for every engine. A program that knows its engine writes `PgTx` for
//!   `Tx<E>`, and `sqlx::query` for `query`, which asks the engine in `tests/chaos` how it spells
//!   placeholders.
//! - `input.rs`, `report.rs`, `domain.rs`: CSV input and table output, which do not use txn.
//!
//! It drops and creates the tables `txn_bank_*` in the database it is given.

mod domain;
mod input;
mod posting;
mod report;
mod run;
mod schema;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use txn::{MySql, Postgres, Sqlite};
use txn_chaos::{Database, EngineName};

use crate::input::Input;
use crate::report::Report;

macro_rules! data {
    ($file:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/", $file)
    };
}

/// Posts transfers between accounts, and checks that no cent was lost.
#[derive(Parser)]
#[command(name = "bank")]
struct Arguments {
    /// `sqlite://FILE`, `postgres://…` or `mysql://…`; default: SQLite in a temporary file.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// CSV file with the columns id, owner, cents.
    #[arg(long, value_name = "FILE", default_value = data!("accounts.csv"))]
    accounts: PathBuf,
    /// CSV file with the columns id, debtor, creditor, cents, fee.
    #[arg(long, value_name = "FILE", default_value = data!("transfers.csv"))]
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

/// Runs the bank, and returns whether everything adds up.
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
        let options = temporary(&directory.path().join("bank.db"));
        return run::run::<Sqlite>(options, limits, input).await;
    };
    match EngineName::of_url(url)? {
        EngineName::Sqlite => {
            run::run::<Sqlite>(Database::<Sqlite>::given(url)?, limits, input).await
        }
        EngineName::Postgres => {
            run::run::<Postgres>(Database::<Postgres>::given(url)?, limits, input).await
        }
        EngineName::Mysql => run::run::<MySql>(Database::<MySql>::given(url)?, limits, input).await,
    }
}

/// Returns options for a temporary file, where nothing has to survive a power cut and so nothing
/// waits for the disk. In a file of the user, `synchronous` stays FULL: every commit is on the disk
/// before it counts.
fn temporary(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Normal)
}
