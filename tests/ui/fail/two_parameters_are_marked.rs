use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn copy(#[tx] from: &mut Tx<Sqlite>, #[tx] to: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(from).await?;
    sqlx::query("SELECT 1").execute(to).await?;
    Ok(())
}

fn main() {}
