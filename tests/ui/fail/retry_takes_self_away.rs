use txn::{Db, Sqlite, transactional};

struct Shop {
    db: Db<Sqlite>,
}

impl Shop {
    #[transactional(self.db as tx, retry)]
    async fn close(self) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }
}

fn main() {}
