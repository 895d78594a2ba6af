use txn::{Db, Sqlite, transactional};

trait Orders: Sync {
    fn db(&self) -> &Db<Sqlite>;

    #[transactional(self.db() as tx)]
    async fn count(&self) -> Result<i64, txn::Error> {
        Ok(sqlx::query_scalar("SELECT 1").fetch_one(tx).await?)
    }
}

struct Shop(Db<Sqlite>);

impl Orders for Shop {
    fn db(&self) -> &Db<Sqlite> {
        &self.0
    }
}

fn main() {}
