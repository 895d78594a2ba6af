use txn::{Sqlite, Tx, transactional};

#[transactional(commit_on(std::fmt::Error))]
async fn debit(tx: &mut Tx<Sqlite>) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
