use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), txn::Error> {
    sqlx::query("SELECT ?").bind(cents).execute(tx).await?;
    Ok(())
}

async fn call(db: std::sync::Arc<Db<Sqlite>>) -> Result<(), txn::Error> {
    debit(&db, 5).await
}

fn main() {}
