//! A transfer between two accounts: the whole of it, or nothing.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn transfer(tx: &mut Tx<Sqlite>, from: i64, to: i64, cents: i64) -> Result<(), sqlx::Error> {
    add(tx, to, cents).await?; // annotated too: joins this transaction
    add(tx, from, -cents).await?;
    Ok(()) // `Ok` commits; `Err`, panic and drop roll back
}

#[transactional]
async fn add(tx: &mut Tx<Sqlite>, account: i64, cents: i64) -> Result<(), sqlx::Error> {
    let update = "UPDATE accounts SET cents = cents + ? WHERE id = ?";
    sqlx::query(update)
        .bind(cents)
        .bind(account)
        .execute(tx)
        .await?; // `tx` is a sqlx executor
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), sqlx::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    sqlx::raw_sql(
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents >= 0));
         INSERT INTO accounts VALUES (1, 1000), (2, 0);",
    )
    .execute(&db) // outside of a transaction: autocommit
    .await?;

    transfer(&db, 1, 2, 500).await?; // begins and commits
    println!("after 500: {:?}", balances(&db).await?);
    assert_eq!(balances(&db).await?, [500, 500]);

    let error = transfer(&db, 1, 2, 9_999)
        .await
        .expect_err("account 1 holds 500");
    println!("after 9,999, refused ({error}): {:?}", balances(&db).await?);
    assert_eq!(balances(&db).await?, [500, 500]); // account 2 was credited first, and is not

    let mut tx = db.begin().await?; // by hand, for the rare case
    transfer(&mut tx, 2, 1, 100).await?; // joins
    transfer(&mut tx, 2, 1, 100).await?; // joins
    tx.commit().await?;
    println!("after twice 100 back: {:?}", balances(&db).await?);
    assert_eq!(balances(&db).await?, [700, 300]);

    db.close().await;
    Ok(())
}

async fn balances(db: &Db<Sqlite>) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT cents FROM accounts ORDER BY id")
        .fetch_all(db)
        .await
}
