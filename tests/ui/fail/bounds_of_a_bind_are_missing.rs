use txn::{Engine, Tx, transactional};

#[transactional]
async fn debit<DB: Engine>(tx: &mut Tx<DB>, cents: i64) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").bind(cents).execute(tx).await?;
    Ok(())
}

fn main() {}
