use tokio::task::JoinSet;
use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn transfer(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    let mut tasks = JoinSet::new();
    tasks.spawn(debit(tx, 5));
    Ok(())
}

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), txn::Error> {
    sqlx::query("SELECT ?").bind(cents).execute(tx).await?;
    Ok(())
}

fn main() {}
