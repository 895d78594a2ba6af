use txn::{Sqlite, Tx, transactional};

#[transactional(timeout = 2)]
async fn debit(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
