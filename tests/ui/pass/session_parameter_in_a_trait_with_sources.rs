use txn::{Source, Sqlite, Tx, transactional};

trait Orders {
    async fn place(&self, tx: impl Source<Tx<Sqlite>>, order: i64) -> Result<i64, txn::Error>;
}

struct Shop;

impl Orders for Shop {
    #[transactional]
    async fn place(&self, tx: &mut Tx<Sqlite>, order: i64) -> Result<i64, txn::Error> {
        Ok(sqlx::query_scalar("SELECT ?")
            .bind(order)
            .fetch_one(tx)
            .await?)
    }
}

fn main() {}
