use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn leak(tx: &mut Tx<Sqlite>) -> Result<&'static mut Tx<Sqlite>, txn::Error> {
    Ok(tx)
}

fn main() {}
