use txn::{Source, Sqlite, Tx};

#[txn::test]
async fn transfers(db: impl Source<Tx<Sqlite>>) {
    drop(db);
}

fn main() {}
