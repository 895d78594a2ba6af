use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn touch<T: Send>(tx: &mut Tx<Sqlite>, value: T) -> Result<T, txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(value)
}

#[transactional(nested)]
async fn outer(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    touch(tx, String::new()).await?;
    touch(tx, 5).await?;
    Ok(())
}

async fn limited(db: &Db<Sqlite>) -> Result<(), txn::Error> {
    let limit = std::time::Duration::from_secs(5);
    tokio::time::timeout(limit, outer(db))
        .await
        .unwrap_or(Ok(()))
}

fn start(db: Db<Sqlite>) {
    tokio::spawn(async move {
        limited(&db).await?;
        let mut tx = db.begin().await?;
        outer(&mut tx).await?;
        tx.commit().await
    });
}

fn main() {}
