use txn::{Db, Engine, Sqlite, Tx, transactional};

#[transactional]
async fn probe<DB: Engine>(tx: &mut Tx<DB>) -> Result<(), txn::Error> {
    sqlx::Executor::execute(&mut *tx, "SELECT 1").await?;
    tx.set_rollback_only("dry run");
    Ok(())
}

#[transactional]
async fn twice<DB: Engine>(tx: &mut Tx<DB>) -> Result<(), txn::Error> {
    probe(tx).await?;
    probe(tx).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert!(
        twice(&db)
            .await
            .is_err_and(|error| error.is_rollback_only())
    );
    Ok(())
}
