use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn sum<const N: usize>(tx: &mut Tx<Sqlite>, cells: [i64; N]) -> Result<i64, txn::Error> {
    let sum: i64 = cells.iter().sum();
    Ok(sqlx::query_scalar("SELECT ?")
        .bind(sum)
        .fetch_one(tx)
        .await?)
}

fn main() {}
