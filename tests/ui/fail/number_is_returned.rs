use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn balance(tx: &mut Tx<Sqlite>) -> i64 {
    let balance = sqlx::query_scalar("SELECT 5").fetch_one(tx).await;
    balance.unwrap_or_default()
}

fn main() {}
