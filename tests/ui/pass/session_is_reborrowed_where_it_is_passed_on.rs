use txn::{Sqlite, Tx, transactional};

struct Ledger;

impl Ledger {
    async fn plain(&self, tx: &mut Tx<Sqlite>) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(tx).await.map(drop)
    }
}

#[transactional]
async fn post(tx: &mut Tx<Sqlite>, ids: &[i64]) -> Result<(), sqlx::Error> {
    for id in ids {
        if *id > 0 {
            sqlx::query("SELECT ?").bind(id).execute(tx).await?;
        } else {
            Ledger.plain(tx).await?;
        }
    }
    while Box::pin(post(tx, &[])).await.is_err() {
        Ledger::plain(&Ledger, tx).await?;
    }
    match sqlx::query("SELECT 1").fetch_optional(tx).await? {
        Some(_) => Ledger.plain(tx).await,
        None => sqlx::query("SELECT 1").execute(tx).await.map(drop),
    }
}

/// In a closure's parameters the name is another one's.
#[transactional]
async fn sum(tx: &mut Tx<Sqlite>, ids: &[i64]) -> Result<i64, sqlx::Error> {
    let sum = [ids].map(|tx| tx.iter().sum::<i64>())[0];
    let both = ids.iter().map(|id| (*id, *id)).fold(0, |a, (tx, b)| a + tx + b);
    let with = |f: fn(i64, i64, i64) -> i64| f(1, 2, 3);
    let three = Some(1).map_or(0, |tx| with(|a, tx, b| a + tx + b) + tx);
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(sum + both + three)
}

fn main() {}
