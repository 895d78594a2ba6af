use txn::{Db, Sqlite, transactional};

#[derive(Clone)]
struct Shop {
    db: Db<Sqlite>,
}

impl Shop {
    #[transactional(self.db as tx)]
    async fn place(&self) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }

    #[transactional(&self.db as tx)]
    async fn consume(self) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }
}

fn start(shop: Shop) {
    tokio::spawn(shop.clone().consume());
    tokio::spawn(async move { shop.place().await });
}

fn main() {}
