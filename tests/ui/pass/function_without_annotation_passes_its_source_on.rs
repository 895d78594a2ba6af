use txn::{Db, Source, Sqlite, Tx, transactional};

#[transactional]
async fn one(tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    Ok(sqlx::query_scalar("SELECT 1").fetch_one(tx).await?)
}

async fn plain(source: impl Source<Tx<Sqlite>>) -> Result<i64, txn::Error> {
    one(source).await
}

async fn generic<S>(source: S) -> Result<i64, txn::Error>
where
    S: Source<Tx<Sqlite>>,
{
    plain(source).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert_eq!(generic(&db).await?, 1);
    let mut tx = db.begin().await?;
    assert_eq!(plain(&mut tx).await?, 1);
    tx.rollback().await?;
    Ok(())
}
