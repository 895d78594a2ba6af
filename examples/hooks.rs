//! Hooks that run at the end of a transaction: a check right before the commit, a mail that is sent
//! only after the commit, and a message to the log after a rollback.
//!
//! ```text
//! cargo run --example hooks
//! ```

use std::sync::{Arc, Mutex};

use txn::{Db, Sqlite, Tx, transactional};

/// A stand-in for a mail server.
#[derive(Clone, Default)]
struct Mails(Arc<Mutex<Vec<String>>>);

impl Mails {
    fn send(&self, text: String) {
        println!("  mail: {text}");
        self.0.lock().expect("no sender panics").push(text);
    }

    fn sent(&self) -> usize {
        self.0.lock().expect("no sender panics").len()
    }
}

#[transactional]
async fn sell(
    tx: &mut Tx<Sqlite>,
    article: &str,
    to: &str,
    mails: &Mails,
) -> Result<(), txn::Error> {
    let (mails, thanks) = (
        mails.clone(),
        format!("thank you for buying {article}, {to}"),
    );
    tx.after_commit(async move { mails.send(thanks) });
    tx.after_rollback(|cause| async move { println!("  not sold: {cause}") });
    tx.before_commit(|tx| {
        Box::pin(async move {
            let stock: i64 = sqlx::query_scalar("SELECT MIN(stock) FROM article")
                .fetch_one(tx)
                .await?;
            match stock {
                0.. => Ok(()),
                _ => Err("sold more than there is".into()),
            }
        })
    });
    sqlx::query("UPDATE article SET stock = stock - 1 WHERE name = ?")
        .bind(article)
        .execute(tx)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    sqlx::query("CREATE TABLE article (name TEXT, stock INTEGER)")
        .execute(&db)
        .await?;
    sqlx::query("INSERT INTO article VALUES ('lamp', 1)")
        .execute(&db)
        .await?;
    let mails = Mails::default();

    println!("the first lamp:");
    sell(&db, "lamp", "Ada", &mails).await?;
    assert_eq!(mails.sent(), 1);

    println!("the second:");
    let error = sell(&db, "lamp", "Bob", &mails).await.unwrap_err();
    println!("  {error}");
    assert_eq!(mails.sent(), 1);

    println!("as part of something larger that fails:");
    sqlx::query("UPDATE article SET stock = 1")
        .execute(&db)
        .await?;
    let mut tx = db.begin().await?;
    sell(&mut tx, "lamp", "Cid", &mails).await?; // Its hooks now wait for the end of `tx`.
    tx.rollback().await?;
    assert_eq!(mails.sent(), 1);
    Ok(())
}
