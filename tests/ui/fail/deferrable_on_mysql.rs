use txn::{MySql, Tx, transactional};

#[transactional(isolation = serializable, read_only, deferrable)]
async fn debit(tx: &mut Tx<MySql>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
