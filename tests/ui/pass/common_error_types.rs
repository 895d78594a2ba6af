use txn::{Sqlite, Tx, transactional};

#[derive(Debug, thiserror::Error)]
enum BankError {
    #[error("overdrawn by {0}")]
    Overdrawn(i64),
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
    #[error(transparent)]
    Txn(#[from] txn::Error),
}

#[transactional]
async fn with_sqlx(tx: &mut Tx<Sqlite>) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

#[transactional]
async fn with_anyhow(tx: &mut Tx<Sqlite>) -> anyhow::Result<()> {
    with_sqlx(tx).await?;
    anyhow::bail!("refused")
}

#[transactional]
async fn with_an_enum(tx: &mut Tx<Sqlite>) -> Result<(), BankError> {
    with_sqlx(tx).await?;
    Err(BankError::Overdrawn(5))
}

#[transactional]
async fn with_txn(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    with_sqlx(tx).await?;
    Ok(())
}

fn main() {}
