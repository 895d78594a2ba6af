use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn transfer(mut tx: Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(&mut tx).await?;
    Ok(())
}

fn main() {}
