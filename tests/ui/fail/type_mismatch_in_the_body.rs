use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn balance(tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    let balance: i64 = sqlx::query_scalar("SELECT 5").fetch_one(tx).await?;
    let label: String = balance;
    Ok(balance)
}

fn main() {}
