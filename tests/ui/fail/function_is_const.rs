use txn::{Sqlite, Tx, transactional};

#[transactional]
const fn limit(tx: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    tx.set_rollback_only("dry run");
    Ok(500)
}

fn main() {}
