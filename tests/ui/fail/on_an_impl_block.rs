use txn::{Sqlite, Tx, transactional};

struct Shop;

#[transactional]
impl Shop {
    async fn place(&self, tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }
}

fn main() {}
