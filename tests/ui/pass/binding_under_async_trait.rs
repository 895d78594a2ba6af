use txn::{Db, Sqlite, transactional};

#[async_trait::async_trait]
trait Orders: Send + Sync {
    async fn place(&self, order: i64) -> Result<i64, txn::Error>;
}

struct Shop {
    db: Db<Sqlite>,
}

#[async_trait::async_trait]
impl Orders for Shop {
    #[transactional(self.db as tx)]
    async fn place(&self, order: i64) -> Result<i64, txn::Error> {
        Ok(sqlx::query_scalar("SELECT ?")
            .bind(order)
            .fetch_one(tx)
            .await?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    let orders: Box<dyn Orders> = Box::new(Shop { db });
    assert_eq!(orders.place(5).await?, 5);
    Ok(())
}
