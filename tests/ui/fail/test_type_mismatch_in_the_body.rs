extern crate self as core;
#[path = "../kept.rs"]
mod prelude;

use txn::{Db, Sqlite};

#[txn::test]
async fn transfers(db: Db<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(&db).await?;
}

#[txn::test]
async fn deposits(db: Db<Sqlite>) {
    let cents: i64 = db;
}

fn main() {}
