use txn::{Sqlite, Tx, transactional};

trait Orders {
    #[transactional]
    async fn place(&self, tx: &mut Tx<Sqlite>) -> Result<(), txn::Error>;
}

fn main() {}
