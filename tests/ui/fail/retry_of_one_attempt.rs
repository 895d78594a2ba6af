use txn::{Sqlite, Tx, transactional};

#[transactional(retry = 1)]
async fn debit(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
