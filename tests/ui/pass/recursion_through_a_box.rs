use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn sum(tx: &mut Tx<Sqlite>, n: i64) -> Result<i64, txn::Error> {
    if n == 0 {
        return Ok(0);
    }
    let rest = Box::pin(sum(tx, n - 1)).await?;
    Ok(sqlx::query_scalar("SELECT ?")
        .bind(n + rest)
        .fetch_one(tx)
        .await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert_eq!(sum(&db, 4).await?, 10);
    Ok(())
}
