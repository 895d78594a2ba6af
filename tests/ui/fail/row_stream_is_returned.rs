use futures_util::stream::BoxStream;
use sqlx::{Executor, sqlite::SqliteRow};
use txn::{Sqlite, Tx, transactional};

type Rows<'a> = BoxStream<'a, Result<SqliteRow, sqlx::Error>>;

#[transactional]
async fn rows(tx: &mut Tx<Sqlite>) -> Result<Rows<'static>, txn::Error> {
    Ok(tx.fetch("SELECT 1"))
}

fn main() {}
