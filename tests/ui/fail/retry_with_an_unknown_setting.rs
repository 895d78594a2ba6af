use txn::{Sqlite, Tx, transactional};

#[transactional(retry(max_attempt = 5, base_delay = "5ms"))]
async fn debit(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
