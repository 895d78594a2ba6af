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

fn main() {}
