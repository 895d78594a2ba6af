use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn transfer<'a>(tx: &'a mut Tx<Sqlite>, note: &'a str) -> Result<&'a str, txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(note)
}

fn main() {}
