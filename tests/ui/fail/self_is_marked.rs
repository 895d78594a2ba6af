use txn::{Sqlite, Tx, transactional};

struct Unit {
    tx: Tx<Sqlite>,
}

impl Unit {
    #[transactional]
    async fn run(#[tx] &mut self) -> Result<(), txn::Error> {
        sqlx::query("SELECT 1").execute(&mut self.tx).await?;
        Ok(())
    }
}

fn main() {}
