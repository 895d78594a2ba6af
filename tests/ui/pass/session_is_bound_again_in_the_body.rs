use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn once(tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    let tx = &mut *tx;
    sqlx::query("SELECT 1").execute(&mut *tx).await?;
    let add = |tx: i64| tx + 1;
    Ok(add(sqlx::query_scalar("SELECT 4").fetch_one(tx).await?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert_eq!(once(&db).await?, 5);
    Ok(())
}
