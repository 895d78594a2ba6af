use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: &str) -> Result<(), txn::Error> {
    let cents: i64 = cents.parse()?;
    sqlx::query("SELECT ?").bind(cents).execute(tx).await?;
    Ok(())
}

fn main() {}
