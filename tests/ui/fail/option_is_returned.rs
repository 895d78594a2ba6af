use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn balance(tx: &mut Tx<Sqlite>) -> Option<i64> {
    let balance = sqlx::query_scalar("SELECT 5").fetch_one(tx).await;
    balance.ok()
}

fn main() {}
