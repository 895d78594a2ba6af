use std::rc::Rc;
use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    let cents = Rc::new(5);
    sqlx::query("SELECT 1").execute(tx).await?;
    drop(cents);
    Ok(())
}

fn start(db: Db<Sqlite>) {
    tokio::spawn(async move { debit(&db).await });
}

fn main() {}
