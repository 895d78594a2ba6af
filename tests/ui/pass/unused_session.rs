#![deny(warnings)]

use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn underscored(_tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    Ok(())
}

#[transactional]
async fn wild(_: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    Ok(())
}

fn main() {}
