//! Retries: a serializable transaction runs again if the database could not order it among the
//! others.
//!
//! On SQLite, writers of one process wait for each other. The conflict here is with another
//! process, which this program simulates with a second connection.
//!
//! ```text
//! cargo run --example retry
//! ```

use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Executor, SqliteConnection};
use txn::{Db, Sqlite, Tx, transactional};

/// Each attempt gets a copy of `note`.
#[transactional(retry(max_attempts = 1000, base_delay = "5ms", max_delay = "20ms"))]
async fn append(tx: &mut Tx<Sqlite>, note: String) -> Result<u32, txn::Error> {
    sqlx::query("INSERT INTO notes VALUES (?)")
        .bind(note)
        .execute(&mut *tx)
        .await?;
    Ok(tx.attempt())
}

/// Gives up after two attempts.
#[transactional(retry = 2)]
async fn append_or_give_up(tx: &mut Tx<Sqlite>, note: &str) -> Result<(), txn::Error> {
    sqlx::query("INSERT INTO notes VALUES (?)")
        .bind(note)
        .execute(tx)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("notes.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .busy_timeout(Duration::ZERO); // The conflict shows at once.
    let db = Db::<Sqlite>::builder(options.clone()).connect().await?;
    sqlx::query("CREATE TABLE notes (text TEXT)")
        .execute(&db)
        .await?;

    let mut other = SqliteConnection::connect_with(&options).await?;
    other.execute("BEGIN IMMEDIATE").await?;
    let error = append_or_give_up(&db, "while the other writes")
        .await
        .unwrap_err();
    println!("{error}");
    assert!(error.is_retryable());

    let append = tokio::spawn({
        let db = db.clone();
        async move { append(&db, "when it is done".to_owned()).await }
    });
    // The other transaction stays open for a while.
    tokio::time::sleep(Duration::from_millis(30)).await;
    other.execute("COMMIT").await?;
    println!("written at attempt {}", append.await??);
    Ok(())
}
