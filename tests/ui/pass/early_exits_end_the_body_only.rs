use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn find(tx: &mut Tx<Sqlite>, wanted: i64) -> Result<i64, txn::Error> {
    if wanted < 0 {
        return Ok(-1);
    }
    let found = 'search: {
        for candidate in 0..9 {
            let query = sqlx::query_scalar("SELECT ?").bind(candidate);
            let seen: i64 = query.fetch_one(tx).await?;
            if seen == wanted {
                break 'search seen;
            }
        }
        return Ok(9);
    };
    Ok(found)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert_eq!(find(&db, -5).await?, -1);
    assert_eq!(find(&db, 5).await?, 5);
    assert_eq!(find(&db, 50).await?, 9);
    Ok(())
}
