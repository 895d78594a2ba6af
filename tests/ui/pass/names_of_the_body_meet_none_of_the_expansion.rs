use txn::{Db, Sqlite, Tx, transactional};

const OPTIONS: i64 = 1;

#[transactional]
async fn add(
    tx: &mut Tx<Sqlite>,
    scope: i64,
    outcome: i64,
    verdict: i64,
    reason: i64,
) -> Result<i64, txn::Error> {
    let (span, body, error, options, pinned) = (1, 1, 1, 1, 1);
    let sum = scope + outcome + verdict + reason + span + body + error + options + pinned;
    Ok(sqlx::query_scalar("SELECT ?")
        .bind(sum + OPTIONS)
        .fetch_one(tx)
        .await?)
}

#[transactional(commit_on(_ if scope()))]
async fn end(open: &mut Tx<Sqlite>) -> Result<i64, txn::Error> {
    add(open, 1, 1, 1, 1).await
}

fn scope() -> bool {
    OPTIONS == 1
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert_eq!(end(&db).await?, 10);
    Ok(())
}
