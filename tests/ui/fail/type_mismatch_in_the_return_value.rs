use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn balance(tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok("five")
}

fn main() {}
