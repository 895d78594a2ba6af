use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn countdown(tx: &mut Tx<Sqlite>, from: u32) -> Result<(), txn::Error> {
    if from > 0 {
        countdown(tx, from - 1).await?;
    }
    Ok(())
}

fn main() {}
