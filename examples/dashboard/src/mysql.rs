//! The bank on MySQL and MariaDB.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Transaction};

#[path = "handle.rs"]
pub(crate) mod handle;
#[path = "schema.rs"]
mod schema;
#[path = "scopes.rs"]
mod scopes;

type Database = txn::MySql;

fn sql(text: &'static str) -> &'static str {
    text
}

async fn hold(direct: &mut MySqlConnection) -> Result<Transaction<'_, Database>, sqlx::Error> {
    let mut tx = direct.begin().await?;
    tx.execute("SELECT id FROM txn_dashboard_accounts FOR UPDATE")
        .await?;
    Ok(tx)
}

async fn terminate(direct: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let all = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
        WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    let all: Vec<i64> = sqlx::query_scalar(all).fetch_all(&mut *direct).await?;
    for id in all {
        // It may be gone already.
        let kill = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}")));
        kill.execute(&mut *direct).await.ok();
    }
    Ok(())
}
