#![deny(warnings)]

use txn::{Db, Sqlite};

#[cfg(test)]
use names_that_only_tests_have::Bank;

/// Opens an account.
#[txn::test(env = "BANK_DATABASE_URL")]
#[ignore]
async fn opens(db: Db<Sqlite>) -> Result<(), txn::Error> {
    Bank::new(db).open().await
}

fn main() {
    let _: Option<Db<Sqlite>> = None;
}
