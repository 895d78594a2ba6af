//! The storm on PostgreSQL.

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgConnection};

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

type Bank = txn::Postgres;

const SYSTEM: &str = "PostgreSQL";
const SECOND_WRITER: bool = true;
const SLOW: &str = "SELECT pg_sleep(20)";

/// PostgreSQL numbers its placeholders.
fn sql(text: &'static str) -> AssertSqlSafe<String> {
    let mut parts = text.split('?');
    let mut numbered = parts.next().unwrap_or_default().to_owned();
    for (part, number) in parts.zip(1..) {
        numbered += &format!("${number}{part}");
    }
    AssertSqlSafe(numbered)
}

/// By this name the server knows who is of the storm.
fn marked(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("txn-storm")
}

async fn open_transactions(direct: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let query = "SELECT concat_ws(': ', pid, state, query) FROM pg_stat_activity \
        WHERE application_name = 'txn-storm' AND datname = current_database() AND pid <> pg_backend_pid() \
        AND (state LIKE 'idle in transaction%' OR xact_start IS NOT NULL)";
    sqlx::query_scalar(query).fetch_all(direct).await
}

async fn terminate(options: &PgConnectOptions) -> Result<u64, sqlx::Error> {
    let mut direct = bank::connect(options).await?;
    let victims = "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity \
        WHERE application_name = 'txn-storm' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 3) AS victims";
    let ended = sqlx::query(victims).fetch_all(&mut direct).await?;
    Ok(ended.len() as u64)
}
