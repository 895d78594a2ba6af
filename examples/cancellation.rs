//! Futures that are dropped half-way, by their own `timeout` or by the caller's, and what happens
//! to the transaction around them.
//!
//! ```text
//! cargo run --example cancellation
//! ```

use std::time::{Duration, Instant};

use txn::{Db, Sqlite, Tx, transactional};

/// A query that would run for minutes.
const SLOW: &str = "WITH RECURSIVE n(i) AS \
    (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000) SELECT COUNT(*) FROM n";

async fn write_and_dawdle(tx: &mut Tx<Sqlite>, text: &str) -> Result<(), txn::Error> {
    sqlx::query("INSERT INTO notes VALUES (?)")
        .bind(text)
        .execute(&mut *tx)
        .await?;
    sqlx::query(SLOW).execute(tx).await?;
    Ok(())
}

/// Ends on its own, and has cleaned up when it returns.
#[transactional(timeout = "200ms")]
async fn limited(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    write_and_dawdle(tx, "limited").await
}

/// Has no limit, and ends when its caller drops it.
#[transactional]
async fn unlimited(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    write_and_dawdle(tx, "unlimited").await
}

/// Can be dropped without the scope around it.
#[transactional(nested)]
async fn optional(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    write_and_dawdle(tx, "optional").await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    sqlx::query("CREATE TABLE notes (text TEXT)")
        .execute(&db)
        .await?;
    let begun = Instant::now();

    let error = limited(&db).await.unwrap_err();
    assert!(error.is_timeout());
    println!("{error}");
    expect(&db, &[]).await?;

    let patience = Duration::from_millis(200);
    tokio::time::timeout(patience, unlimited(&db))
        .await
        .unwrap_err();
    println!("dropped by its caller: {:?}", db.status());
    db.settled().await; // Waiting is optional.
    println!("settled: {:?}", db.status());
    expect(&db, &[]).await?;

    let mut tx = db.begin().await?;
    sqlx::query("INSERT INTO notes VALUES ('first')")
        .execute(&mut tx)
        .await?;
    tokio::time::timeout(patience, optional(&mut tx))
        .await
        .unwrap_err();
    sqlx::query("INSERT INTO notes VALUES ('last')")
        .execute(&mut tx)
        .await?;
    tx.commit().await?;
    println!("the nested scope was dropped, the outer one went on");
    expect(&db, &["first", "last"]).await?;

    println!("all in {:?}", begun.elapsed());
    Ok(())
}

async fn expect(db: &Db<Sqlite>, texts: &[&str]) -> Result<(), sqlx::Error> {
    let found: Vec<String> = sqlx::query_scalar("SELECT text FROM notes ORDER BY rowid")
        .fetch_all(db)
        .await?;
    assert_eq!(found, texts);
    Ok(())
}
