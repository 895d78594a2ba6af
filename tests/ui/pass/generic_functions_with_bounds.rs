use std::fmt::Display;
use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn save<K: Display, V>(tx: &mut Tx<Sqlite>, key: K, value: V) -> Result<V, txn::Error>
where
    V: AsRef<str> + Clone,
{
    let query = sqlx::query("SELECT ?, ?").bind(key.to_string());
    query.bind(value.as_ref().to_owned()).execute(tx).await?;
    Ok(value)
}

fn main() {}
