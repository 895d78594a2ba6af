use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), txn::Error> {
    sqlx::query("SELECT ?").bind(cents).execute(tx).await?;
    Ok(())
}

async fn call(tx: Tx<Sqlite>) -> Result<(), txn::Error> {
    debit(tx, 5).await
}

fn main() {}
