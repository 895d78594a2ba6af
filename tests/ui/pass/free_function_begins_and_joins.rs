use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn one(tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    Ok(sqlx::query_scalar("SELECT 1").fetch_one(tx).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert_eq!(one(&db).await?, 1);
    let mut tx = db.begin().await?;
    assert_eq!(one(&mut tx).await?, 1);
    tx.commit().await?;
    Ok(())
}
