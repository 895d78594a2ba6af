use txn::transactional;

#[transactional]
async fn last(id: i64, tx: &mut txn::Tx<txn::Sqlite>) -> Result<i64, txn::Error> {
    Ok(sqlx::query_scalar("SELECT ?")
        .bind(id)
        .fetch_one(tx)
        .await?)
}

#[transactional]
async fn mutable(tx: &'_ mut txn::Tx<txn::Sqlite>) -> Result<i64, txn::Error> {
    last(5, tx).await
}

fn main() {}
