use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) {
    let _ = sqlx::query("SELECT ?").bind(cents).execute(tx).await;
}

fn main() {}
