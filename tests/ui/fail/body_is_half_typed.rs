use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), txn::Error> {
    let account = cents.
    Ok(())
}

fn main() {}
