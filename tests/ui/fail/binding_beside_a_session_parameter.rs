use txn::{Db, Sqlite, Tx, transactional};

struct Shop {
    db: Db<Sqlite>,
}

impl Shop {
    #[transactional(self.db as tx)]
    async fn place(&self, outer: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(outer).await?;
        Ok(())
    }
}

fn main() {}
