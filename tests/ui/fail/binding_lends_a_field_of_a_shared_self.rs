use txn::{Sqlite, Tx, transactional};

struct Unit {
    tx: Tx<Sqlite>,
}

impl Unit {
    #[transactional(&mut self.tx as tx)]
    async fn run(&self) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }
}

fn main() {}
