use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn run<E: From<txn::Error>>(
    tx: &mut Tx<Sqlite>,
    work: impl AsyncFnOnce(&mut Tx<Sqlite>) -> Result<(), E>,
) -> Result<(), E> {
    work(tx).await
}

fn main() {}
