use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn balance(tx: &mut Tx<Sqlite>, id: i64) -> Result<i64, txn::Error> {
    if id < 0 {
        return id;
    }
    Ok(sqlx::query_scalar("SELECT 5").fetch_one(tx).await?)
}

fn main() {}
