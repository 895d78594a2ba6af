use txn::{Db, Engine, Tx, transactional};

#[transactional]
async fn inner<DB: Engine>(tx: &mut Tx<DB>) -> Result<(), txn::Error> {
    tx.set_rollback_only("dry run");
    Ok(())
}

#[transactional]
async fn outer<DB: Engine>(tx: &mut Tx<DB>) -> Result<(), txn::Error> {
    inner(tx).await?;
    inner(tx).await
}

fn start<DB: Engine>(db: Db<DB>) {
    tokio::spawn(async move { outer(&db).await });
}

fn main() {}
