extern crate self as core;
#[path = "../kept.rs"]
mod prelude;

use std::path::PathBuf;

#[txn::test]
async fn transfers(db: PathBuf) {
    drop(db);
}

fn main() {}
