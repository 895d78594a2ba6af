use std::sync::Arc;
use txn::{Sqlite, Tx, transactional};

struct Shop;

impl Shop {
    #[transactional]
    async fn shared(self: Arc<Self>, tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
        self.boxed(tx).await
    }

    #[transactional]
    async fn boxed(self: &Arc<Self>, tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }
}

fn main() {}
