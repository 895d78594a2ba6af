use txn::{Sqlite, Tx, transactional};

struct Unit<'a> {
    tx: &'a mut Tx<Sqlite>,
}

#[transactional]
async fn transfer(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    let unit = Unit { tx };
    sqlx::query("SELECT 1").execute(tx).await?;
    sqlx::query("SELECT 1").execute(unit.tx).await?;
    Ok(())
}

fn main() {}
