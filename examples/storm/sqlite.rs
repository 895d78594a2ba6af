//! The storm on SQLite.

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

#[path = "bank.rs"]
mod bank;
#[path = "guarded.rs"]
mod guarded;
#[path = "locks.rs"]
mod locks;
#[path = "raw.rs"]
mod raw;
#[path = "run.rs"]
pub(crate) mod run;
#[path = "transfer.rs"]
mod transfer;

type Bank = txn::Sqlite;

const SYSTEM: &str = "SQLite";
/// A scope that needs a second session for writing would wait for itself.
const SECOND_WRITER: bool = false;
/// Some 20 s.
const SLOW: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000000) \
    SELECT COUNT(*) FROM n";

fn sql(text: &'static str) -> &'static str {
    text
}

fn marked(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
}

/// Who writes holds the one lock there is.
async fn open_transactions(direct: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::raw_sql("PRAGMA busy_timeout = 0")
        .execute(&mut *direct)
        .await?;
    match direct.begin_with("BEGIN IMMEDIATE").await {
        Ok(tx) => tx.rollback().await.map(|()| Vec::new()),
        Err(error) => Ok(vec![error.to_string()]),
    }
}

/// There is no server to end them.
async fn terminate(_: &SqliteConnectOptions) -> Result<u64, sqlx::Error> {
    Ok(0)
}
