use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn transfer(tx: &Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx.db()).await?;
    Ok(())
}

fn main() {}
