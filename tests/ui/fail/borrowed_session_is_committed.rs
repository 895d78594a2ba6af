use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn transfer(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    tx.commit().await
}

fn main() {}
