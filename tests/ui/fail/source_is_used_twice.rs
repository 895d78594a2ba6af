use txn::{Source, Sqlite, Tx, transactional};

async fn both(source: impl Source<Tx<Sqlite>>) -> Result<(), txn::Error> {
    debit(source).await?;
    debit(source).await
}

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
