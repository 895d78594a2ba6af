use txn::transactional;

struct Shop {
    pool: sqlx::SqlitePool,
}

impl Shop {
    #[transactional(self.pool as tx)]
    async fn place(&self) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }
}

fn main() {}
