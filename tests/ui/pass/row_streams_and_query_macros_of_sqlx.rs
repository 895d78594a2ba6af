use futures_util::TryStreamExt;
use sqlx::{Executor, Row};
use txn::{Sqlite, Tx, transactional};

#[derive(sqlx::FromRow)]
struct Account {
    id: i64,
}

#[transactional]
async fn read(tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    let mut sum = 0;
    let mut rows = tx.fetch("SELECT 1");
    while let Some(row) = rows.try_next().await? {
        sum += row.get::<i64, _>(0);
    }
    drop(rows);
    let accounts: Vec<Account> = sqlx::query_as("SELECT 1 AS id").fetch_all(tx).await?;
    tx.execute("SELECT 1").await?;
    Ok(accounts.iter().map(|account| account.id).sum::<i64>() + sum)
}

fn main() {}
