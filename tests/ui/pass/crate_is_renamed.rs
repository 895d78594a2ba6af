extern crate txn as renamed;

mod databases {
    pub use renamed::*;
}

use databases::{Db, Sqlite, Tx, transactional};

#[transactional(crate = renamed, isolation = serializable)]
async fn by_name(tx: &mut Tx<Sqlite>) -> Result<(), renamed::Error> {
    by_module(tx).await
}

#[transactional(crate = crate::databases, isolation = serializable)]
async fn by_module(tx: &mut Tx<Sqlite>) -> Result<(), renamed::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

mod txn {}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), renamed::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    by_name(&db).await?;
    Ok(())
}
