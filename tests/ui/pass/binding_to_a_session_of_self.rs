use txn::{Db, Sqlite, Tx, transactional};

struct Unit {
    tx: Tx<Sqlite>,
    count: i64,
}

impl Unit {
    #[transactional(&mut self.tx as tx, mandatory)]
    async fn run(&mut self, step: i64) -> Result<i64, txn::Error> {
        let sum: i64 = sqlx::query_scalar("SELECT ?")
            .bind(step)
            .fetch_one(tx)
            .await?;
        self.count += sum;
        Ok(self.count)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    let tx = db.begin().await?;
    let mut unit = Unit { tx, count: 1 };
    assert_eq!(unit.run(5).await?, 6);
    unit.tx.commit().await?;
    Ok(())
}
