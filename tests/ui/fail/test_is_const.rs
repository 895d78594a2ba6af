use txn::{Db, Sqlite};

#[txn::test]
const fn transfers(_db: Db<Sqlite>) {}

fn main() {}
