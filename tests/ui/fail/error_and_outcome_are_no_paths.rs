use txn::{Sqlite, Tx, transactional};

#[transactional(error, outcome = |_| Verdict::Commit)]
async fn without_paths(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    tx.set_rollback_only("");
    Ok(())
}

#[transactional(error = "to_status")]
async fn with_a_text(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    tx.set_rollback_only("");
    Ok(())
}

#[transactional]
async fn with_an_error_without_a_name(tx: &mut Tx<Sqlite>) -> Result<u8, impl std::fmt::Debug> {
    tx.set_rollback_only("");
    Ok::<_, txn::Error>(0)
}

fn main() {}
