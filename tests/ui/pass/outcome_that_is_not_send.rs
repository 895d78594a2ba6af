use std::error::Error;
use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn parse(tx: &mut Tx<Sqlite>, text: &str) -> Result<i64, Box<dyn Error>> {
    let number: i64 = text.parse()?;
    Ok(sqlx::query_scalar("SELECT ?")
        .bind(number)
        .fetch_one(tx)
        .await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert!(parse(&db, "five").await.is_err());
    assert_eq!(parse(&db, "5").await.unwrap(), 5);
    Ok(())
}
