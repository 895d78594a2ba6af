use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn keep<'a>(
    #[tx] tx: &mut Tx<Sqlite>,
    kept: &mut Vec<&'a mut Tx<Sqlite>>,
) -> Result<(), txn::Error> {
    kept.push(tx);
    Ok(())
}

fn main() {}
