use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn names(tx: &mut Tx<Sqlite>) -> Result<impl Iterator<Item = String>, txn::Error> {
    tx.set_rollback_only("dry run");
    Ok(std::iter::empty())
}

fn main() {}
