extern crate self as core;
#[path = "../kept.rs"]
mod prelude;

use txn::{Sqlite, Tx};

#[txn::test]
async fn transfers(tx: Tx<Sqlite>) -> Result<(), txn::Error> {
    tx.rollback().await
}

fn main() {}
