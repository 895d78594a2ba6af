use txn::{Postgres, Tx, transactional};

#[transactional(isolation = serializable, deferrable)]
async fn debit(tx: &mut Tx<Postgres>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
