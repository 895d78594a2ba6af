use txn::{Db, Sqlite, transactional};

struct Shop {
    db: Db<Sqlite>,
}

impl Shop {
    #[transactional]
    async fn place(&self, order: i64) -> Result<i64, txn::Error> {
        sqlx::query("SELECT 1").execute(&self.db).await?;
        Ok(order)
    }
}

fn main() {}
