use txn::{Sqlite, Tx, transactional};

#[transactional]
pub async extern "C" fn transfer(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
