#![allow(dead_code)]

use txn::{Sqlite, Tx, transactional};

struct Option;
struct Result;
mod core {}

#[transactional(rollback_on(0))]
async fn touch(tx: &mut Tx<Sqlite>) -> std::result::Result<i64, txn::Error> {
    std::result::Result::Ok(sqlx::query_scalar("SELECT 1").fetch_one(tx).await?)
}

fn main() {}
