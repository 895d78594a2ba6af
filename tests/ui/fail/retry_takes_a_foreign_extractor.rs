use txn::{Db, Sqlite, transactional};

mod framework {
    pub struct Body(pub Vec<u8>);
}

#[transactional(db as tx, retry)]
async fn upload(db: Db<Sqlite>, body: framework::Body) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT ?").bind(body.0).execute(tx).await?;
    Ok(())
}

fn main() {}
