use txn::{Sqlite, Tx, transactional};

#[transactional(commit_on = sqlx::Error::RowNotFound)]
async fn debit(tx: &mut Tx<Sqlite>) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
