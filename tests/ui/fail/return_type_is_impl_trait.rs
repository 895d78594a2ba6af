use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn names(tx: &mut Tx<Sqlite>) -> impl Iterator<Item = String> {
    tx.set_rollback_only("dry run");
    std::iter::empty()
}

fn main() {}
