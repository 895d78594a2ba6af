use txn::{Sqlite, Tx, transactional};

#[transactional]
fn transfer(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), txn::Error> {
    debit(tx, cents).await
}

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), txn::Error> {
    sqlx::query("SELECT ?").bind(cents).execute(tx).await?;
    Ok(())
}

fn main() {}
