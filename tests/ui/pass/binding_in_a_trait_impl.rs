use txn::{Db, Sqlite, transactional};

trait Orders {
    async fn place(&self, order: i64) -> Result<i64, txn::Error>;
    fn cancel(&self, order: i64) -> impl Future<Output = Result<i64, txn::Error>> + Send;
}

struct Shop {
    db: Db<Sqlite>,
}

impl Orders for Shop {
    #[transactional(self.db as tx)]
    async fn place(&self, order: i64) -> Result<i64, txn::Error> {
        Ok(sqlx::query_scalar("SELECT ?")
            .bind(order)
            .fetch_one(tx)
            .await?)
    }

    #[transactional(self.db as tx, nested)]
    async fn cancel(&self, order: i64) -> Result<i64, txn::Error> {
        Ok(sqlx::query_scalar("SELECT ?")
            .bind(-order)
            .fetch_one(tx)
            .await?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    let shop = Shop { db };
    assert_eq!(shop.place(5).await? + shop.cancel(4).await?, 1);
    Ok(())
}
