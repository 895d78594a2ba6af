use txn::{Tx, transactional};

#[transactional]
async fn depth<DB>(tx: &mut Tx<DB>) -> Result<(), txn::Error> {
    tx.set_rollback_only("dry run");
    Ok(())
}

fn main() {}
