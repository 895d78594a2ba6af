use txn::{Sqlite, Tx, transactional};

#[transactional(retry)]
async fn debit(tx: &mut Tx<Sqlite>, log: &mut Vec<String>) -> Result<(), txn::Error> {
    log.push("debit".to_owned());
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
