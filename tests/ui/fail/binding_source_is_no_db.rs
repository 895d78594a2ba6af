use txn::transactional;

struct Shop {
    url: String,
}

impl Shop {
    #[transactional(self.url as tx)]
    async fn place(&self) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }
}

fn main() {}
