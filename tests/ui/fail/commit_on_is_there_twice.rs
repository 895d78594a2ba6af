use txn::{Sqlite, Tx, transactional};

#[transactional(commit_on(txn::Error { .. }), commit_on(_))]
async fn debit(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

fn main() {}
