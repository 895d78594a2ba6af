use txn::{Db, Sqlite, Tx, transactional};

#[tracing::instrument(skip(tx), err)]
#[transactional]
async fn above(tx: &mut Tx<Sqlite>, id: i64) -> Result<i64, txn::Error> {
    below(tx, id).await
}

#[transactional]
#[tracing::instrument(skip_all, fields(id))]
async fn below(tx: &mut Tx<Sqlite>, id: i64) -> Result<i64, txn::Error> {
    Ok(sqlx::query_scalar("SELECT ?")
        .bind(id)
        .fetch_one(tx)
        .await?)
}

#[tracing::instrument]
#[transactional]
async fn session_is_recorded(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    below(tx, 1).await.map(drop)
}

fn start(db: Db<Sqlite>) {
    tokio::spawn(async move {
        session_is_recorded(&db).await?;
        above(&db, 5).await
    });
}

fn main() {}
