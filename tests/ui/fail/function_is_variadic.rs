use txn::{Sqlite, Tx, transactional};

#[transactional]
async unsafe extern "C" fn transfer(tx: &mut Tx<Sqlite>, _: ...) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
