use txn::{Sqlite, Tx, transactional};

#[derive(Clone, Default)]
struct Shop {
    orders: i64,
}

impl Shop {
    const FIRST: i64 = 1;

    #[transactional]
    async fn load(tx: &mut Tx<Sqlite>) -> Result<Self, txn::Error> {
        let query = sqlx::query_scalar("SELECT ?").bind(Self::FIRST);
        let orders = query.fetch_one(tx).await?;
        Ok(Self { orders })
    }
}

fn main() {}
