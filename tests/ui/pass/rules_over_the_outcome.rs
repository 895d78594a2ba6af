use txn::{Db, Sqlite, Tx, transactional};

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("overdrawn by {0}")]
    Overdrawn(i64),
    #[error("frozen")]
    Frozen { by: String },
    #[error(transparent)]
    Txn(#[from] txn::Error),
}

const LIMIT: i64 = 100;

#[transactional(
    commit_on(Refusal::Overdrawn(cents) if *cents < LIMIT),
    rollback_on(0 | 1)
)]
async fn guarded(tx: &mut Tx<Sqlite>, cents: i64) -> Result<i64, Refusal> {
    let _ = tx;
    Err(Refusal::Overdrawn(cents))
}

#[transactional(commit_on(Refusal::Overdrawn(_) | Refusal::Frozen { .. }), rollback_on(None))]
async fn joined(tx: &mut Tx<Sqlite>) -> Result<Option<i64>, Refusal> {
    let _ = guarded(tx, 5).await;
    Err(Refusal::Frozen { by: "audit".into() })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert!(guarded(&db, 5).await.is_err());
    assert!(joined(&db).await.is_err());
    Ok(())
}
