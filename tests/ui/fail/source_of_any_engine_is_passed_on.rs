use txn::{Engine, Source, Sqlite, Tx, transactional};

async fn call<DB: Engine>(source: impl Source<Tx<DB>>) -> Result<(), txn::Error> {
    debit(source).await
}

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
