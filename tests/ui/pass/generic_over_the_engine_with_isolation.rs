use txn::{Db, Engine, Tx, transactional};

#[transactional(isolation = read_committed)]
async fn probe<DB: Engine>(tx: &mut Tx<DB>) -> Result<(), txn::Error> {
    tx.set_rollback_only("dry run");
    Ok(())
}

struct Repository<DB: Engine>(Db<DB>);

impl<DB: Engine> Repository<DB> {
    #[transactional(isolation = repeatable_read, requires_new)]
    async fn probe(&self, tx: &mut Tx<DB>) -> Result<(), txn::Error> {
        probe(tx).await
    }

    #[transactional(self.0 as tx, isolation = repeatable_read)]
    async fn own(&self) -> Result<(), txn::Error> {
        probe(tx).await
    }
}

fn main() {}
