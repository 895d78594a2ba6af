use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), String> {
    let done = sqlx::query("SELECT ?").bind(cents).execute(tx).await;
    done.map(drop).map_err(|error| error.to_string())
}

fn main() {}
