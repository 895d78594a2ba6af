use txn::{Sqlite, Tx, transactional};

#[transactional]
async unsafe fn r#move(tx: &mut Tx<Sqlite>, r#type: i64) -> Result<i64, txn::Error> {
    Ok(sqlx::query_scalar("SELECT ?")
        .bind(r#type)
        .fetch_one(tx)
        .await?)
}

#[transactional]
async fn call(r#in: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    unsafe { r#move(r#in, 5) }.await
}

fn main() {}
