use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn transfer(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    tokio::spawn(async move { sqlx::query("SELECT 1").execute(tx).await });
    Ok(())
}

fn main() {}
