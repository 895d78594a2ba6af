use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn run<E>(tx: &mut Tx<Sqlite>, result: Result<(), E>) -> Result<(), E> {
    tx.set_rollback_only("dry run");
    result
}

fn main() {}
