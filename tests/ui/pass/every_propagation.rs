use txn::{Db, Sqlite, Tx, transactional};

#[transactional(nested)]
async fn nested(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

#[transactional(requires_new, read_only)]
async fn apart(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

#[transactional(mandatory, name = "shop.inside")]
async fn inside(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    nested(tx).await
}

#[transactional]
async fn all(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    nested(tx).await?;
    inside(tx).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    all(&db).await?;
    apart(&db).await?;
    Ok(())
}
