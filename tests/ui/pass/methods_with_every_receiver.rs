use txn::{Db, Sqlite, Tx, transactional};

struct Shop(i64);

impl Shop {
    #[transactional]
    async fn read(&self, tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
        let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(tx).await?;
        Ok(self.0 + one)
    }

    #[transactional]
    async fn change(&mut self, tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
        self.0 = self.read(tx).await?;
        Ok(())
    }

    #[transactional]
    async fn close(self, tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
        self.read(tx).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    let mut shop = Shop(1);
    shop.change(&db).await?;
    assert_eq!(shop.close(&db).await?, 3);
    Ok(())
}
