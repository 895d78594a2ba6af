use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), txn::Error> {
    sqlx::query("SELECT ?").bind(amount).execute(tx).await?;
    Ok(())
}

fn main() {}
