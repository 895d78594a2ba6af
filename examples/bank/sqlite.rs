//! The bank on SQLite.

use std::path::Path;

use anyhow::{Context, Result};
use txn::sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};

#[path = "posting.rs"]
mod posting;
#[path = "run.rs"]
pub(crate) mod run;
#[path = "schema.rs"]
mod schema;

type Bank = txn::Sqlite;

const SYSTEM: &str = "SQLite";

/// A write scope is alone anyway.
const LOCK_ACCOUNTS: &str = "SELECT id FROM txn_bank_accounts WHERE id IN (?, ?)";

fn sql(text: &'static str) -> &'static str {
    text
}

/// In a file that is removed afterwards nothing has to survive a power cut, so nothing waits for the disk.
pub(crate) fn temporary(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Normal)
}

/// In a file of the user's every commit is on the disk before it counts: `synchronous` stays FULL.
pub(crate) fn options(url: &str) -> Result<SqliteConnectOptions> {
    let options: SqliteConnectOptions = url.parse().context("--database: not a SQLite URL")?;
    Ok(options.create_if_missing(true))
}
