//! The storm on MySQL and MariaDB.

use sqlx::AssertSqlSafe;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};

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

type Bank = txn::MySql;

const SYSTEM: &str = "MySQL/MariaDB";
const SECOND_WRITER: bool = true;
/// Some 20 s. Not SLEEP: where several of those run, MariaDB takes up to 2 s for a KILL.
const SLOW: &str = "SELECT BENCHMARK(100000000, SHA2('txn', 512))";

fn sql(text: &'static str) -> &'static str {
    text
}

fn marked(options: MySqlConnectOptions) -> MySqlConnectOptions {
    options
}

/// The server shows a transaction once it has read or written anything, and as it was up to 0.1 s ago.
async fn open_transactions(direct: &mut MySqlConnection) -> Result<Vec<String>, sqlx::Error> {
    let query = "SELECT CONCAT_WS(': ', p.id, p.command, p.info) \
        FROM information_schema.innodb_trx AS t \
        JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id \
        WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID()";
    sqlx::query_scalar(query).fetch_all(direct).await
}

async fn terminate(options: &MySqlConnectOptions) -> Result<u64, sqlx::Error> {
    let mut direct = bank::connect(options).await?;
    let victims = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
        WHERE db = DATABASE() AND id <> CONNECTION_ID() ORDER BY RAND() LIMIT 3";
    let victims: Vec<i64> = sqlx::query_scalar(victims).fetch_all(&mut direct).await?;
    for id in &victims {
        // It may be gone already.
        let kill = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}")));
        kill.execute(&mut direct).await.ok();
    }
    Ok(victims.len() as u64)
}
