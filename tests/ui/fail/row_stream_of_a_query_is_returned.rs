use futures_util::stream::BoxStream;
use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn ids(
    tx: &mut Tx<Sqlite>,
) -> Result<BoxStream<'static, Result<i64, sqlx::Error>>, txn::Error> {
    Ok(sqlx::query_scalar("SELECT id FROM item").fetch(tx))
}

fn main() {}
