use txn::{Sqlite, Tx, transactional};

#[async_trait::async_trait]
trait Orders {
    async fn place(&self, tx: &mut Tx<Sqlite>) -> Result<(), txn::Error>;
}

struct Shop;

#[async_trait::async_trait]
impl Orders for Shop {
    #[transactional]
    async fn place(&self, tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }
}

fn main() {}
