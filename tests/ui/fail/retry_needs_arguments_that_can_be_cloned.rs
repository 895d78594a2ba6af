use txn::{Sqlite, Tx, transactional};

struct Order(i64);

#[transactional(retry)]
async fn place(tx: &mut Tx<Sqlite>, order: Order) -> Result<i64, txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(order.0)
}

fn main() {}
