use txn::{Db, Sqlite, Tx, transactional};

async fn transfer(db: &Db<Sqlite>) -> Result<(), txn::Error> {
    let mut tx = db.begin().await?;
    let pending = debit(&mut tx, 5);
    tx.commit().await?;
    pending.await
}

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), txn::Error> {
    sqlx::query("SELECT ?").bind(cents).execute(tx).await?;
    Ok(())
}

fn main() {}
