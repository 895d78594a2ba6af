//! Transactions by hand, for code where a transaction is not one function: begin, commit, roll
//! back, drop, and annotated functions that join.
//!
//! ```text
//! cargo run --example manual
//! ```

use txn::{Db, Sqlite, Tx, transactional};

/// Joins the transaction that it is given, or begins one.
#[transactional]
async fn note(tx: &mut Tx<Sqlite>, text: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO notes (text) VALUES (?)")
        .bind(text)
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns `Ok`, but marks the transaction as rollback-only.
#[transactional]
async fn note_if_short(tx: &mut Tx<Sqlite>, text: &str) -> Result<usize, sqlx::Error> {
    note(tx, text).await?;
    if text.len() > 10 {
        tx.set_rollback_only("the note is too long");
    }
    Ok(text.len())
}

#[tokio::main]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    sqlx::query("CREATE TABLE notes (text TEXT NOT NULL UNIQUE)")
        .execute(&db)
        .await?;

    commit_keeps(&db).await?;
    rollback_undoes(&db).await?;
    drop_rolls_back(&db).await?;
    rollback_only_binds_its_own_scope(&db).await?;
    rollback_only_binds_the_transaction_that_was_joined(&db).await?;
    a_failed_joined_scope_cannot_be_ignored(&db).await?;

    db.close().await;
    Ok(())
}

async fn commit_keeps(db: &Db<Sqlite>) -> Result<(), txn::Error> {
    let mut tx = db.begin().await?;
    note(&mut tx, "one").await?;
    sqlx::query("INSERT INTO notes VALUES ('two')")
        .execute(&mut tx)
        .await?;
    tx.commit().await?;
    expect(db, "committed", &["one", "two"]).await
}

async fn rollback_undoes(db: &Db<Sqlite>) -> Result<(), txn::Error> {
    let mut tx = db.begin().await?;
    note(&mut tx, "three").await?;
    tx.rollback().await?;
    expect(db, "rolled back", &["one", "two"]).await
}

async fn drop_rolls_back(db: &Db<Sqlite>) -> Result<(), txn::Error> {
    let mut tx = db.begin().await?;
    note(&mut tx, "three").await?;
    drop(tx);
    // The rollback runs in the background, and nobody gets the session before it is done. This
    // waits for it.
    db.settled().await;
    expect(db, "dropped", &["one", "two"]).await
}

async fn rollback_only_binds_its_own_scope(db: &Db<Sqlite>) -> Result<(), txn::Error> {
    let length = note_if_short(db, "three, at length").await?;
    assert_eq!(length, 16); // The value is returned, but nothing is written.
    expect(db, "rollback-only, in a scope of its own", &["one", "two"]).await
}

async fn rollback_only_binds_the_transaction_that_was_joined(
    db: &Db<Sqlite>,
) -> Result<(), txn::Error> {
    let mut tx = db.begin().await?;
    note(&mut tx, "three").await?;
    note_if_short(&mut tx, "four, at length").await?;
    let error = tx.commit().await.expect_err("a joined scope forbade it");
    assert!(error.is_rollback_only());
    println!("{error}");
    expect(db, "rollback-only, joined", &["one", "two"]).await
}

async fn a_failed_joined_scope_cannot_be_ignored(db: &Db<Sqlite>) -> Result<(), txn::Error> {
    let mut tx = db.begin().await?;
    note(&mut tx, "three").await?;
    note(&mut tx, "one").await.expect_err("notes are unique");
    let error = tx.commit().await.expect_err("half of it would be missing");
    assert!(error.is_rollback_only());
    println!("{error}");
    expect(db, "a joined scope failed", &["one", "two"]).await
}

async fn expect(db: &Db<Sqlite>, what: &str, wanted: &[&str]) -> Result<(), txn::Error> {
    let notes: Vec<String> = sqlx::query_scalar("SELECT text FROM notes ORDER BY text")
        .fetch_all(db)
        .await?;
    println!("{what}: {notes:?}");
    assert_eq!(notes, wanted);
    Ok(())
}
