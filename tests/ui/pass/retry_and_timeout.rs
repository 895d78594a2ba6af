//! Arguments of every shape, each attempt with a copy of its own.

#![deny(warnings)]

use std::sync::Arc;

use txn::{Db, Sqlite, Tx, transactional};

#[transactional(retry, timeout = "5s")]
async fn place(
    tx: &mut Tx<Sqlite>,
    mut name: String,
    (id, count): (i64, i64),
    tags: &[&str],
    price: impl Fn(i64) -> i64 + Clone + Send + Sync,
) -> Result<String, sqlx::Error> {
    sqlx::query("SELECT ?").bind(id).execute(tx).await?;
    name.push_str(&format!("{} {}", price(count), tags.len()));
    Ok(name)
}

#[derive(Clone)]
struct Shop {
    db: Arc<Db<Sqlite>>,
}

trait Orders {
    async fn order(&self, name: String) -> Result<usize, txn::Error>;
}

impl Orders for Shop {
    #[transactional(
        self.db as tx,
        isolation = serializable,
        retry(max_attempts = 3, base_delay = "1ms", max_delay = "1s"),
    )]
    async fn order(&self, name: String) -> Result<usize, txn::Error> {
        place(tx, name.clone(), (1, 2), &[], |count| count).await?;
        Ok(name.into_bytes().len())
    }
}

#[tokio::main]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    let placed = place(&db, "lamp ".into(), (1, 2), &["new"], |count| 10 * count).await?;
    assert_eq!(placed, "lamp 20 1");
    let shop = Shop { db: Arc::new(db) };
    let task = tokio::spawn(async move { shop.order("lamp".into()).await });
    assert_eq!(task.await.unwrap()?, 4);
    Ok(())
}
