//! The bank on SQLite.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Transaction};

#[path = "handle.rs"]
pub(crate) mod handle;
#[path = "schema.rs"]
mod schema;
#[path = "scopes.rs"]
mod scopes;

type Database = txn::Sqlite;

fn sql(text: &'static str) -> &'static str {
    text
}

/// The one lock there is.
async fn hold(direct: &mut SqliteConnection) -> Result<Transaction<'_, Database>, sqlx::Error> {
    direct.begin_with("BEGIN IMMEDIATE").await
}

async fn terminate(_: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    unreachable!("there is no server; see `faults.rs`")
}
