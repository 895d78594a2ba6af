use txn::{Db, Sqlite, transactional};

struct Shop {
    db: Db<Sqlite>,
}

impl Shop {
    #[transactional(self.db as tx, mandatory)]
    async fn place(&self, order: i64) -> Result<i64, txn::Error> {
        Ok(sqlx::query_scalar("SELECT ?")
            .bind(order)
            .fetch_one(tx)
            .await?)
    }
}

fn main() {}
