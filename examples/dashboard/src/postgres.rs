//! The bank on PostgreSQL.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Transaction};

#[path = "handle.rs"]
pub(crate) mod handle;
#[path = "schema.rs"]
mod schema;
#[path = "scopes.rs"]
mod scopes;

type Database = txn::Postgres;

/// PostgreSQL numbers its placeholders.
fn sql(text: &'static str) -> AssertSqlSafe<String> {
    let mut parts = text.split('?');
    let mut numbered = parts.next().unwrap_or_default().to_owned();
    for (part, number) in parts.zip(1..) {
        numbered += &format!("${number}{part}");
    }
    AssertSqlSafe(numbered)
}

async fn hold(direct: &mut PgConnection) -> Result<Transaction<'_, Database>, sqlx::Error> {
    let mut tx = direct.begin().await?;
    tx.execute("LOCK TABLE txn_dashboard_accounts IN EXCLUSIVE MODE")
        .await?;
    Ok(tx)
}

async fn terminate(direct: &mut PgConnection) -> Result<(), sqlx::Error> {
    let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    direct.execute(all).await?;
    Ok(())
}
