use sqlx::{ColumnIndex, Decode, Encode, IntoArguments, QueryBuilder, Row, Type};
use txn::{Db, Engine, Sqlite, Tx, transactional};

#[transactional]
async fn sum<DB: Engine>(tx: &mut Tx<DB>, a: i64, b: i64) -> Result<i64, txn::Error>
where
    DB::Arguments: IntoArguments<DB>,
    i64: Type<DB> + for<'q> Encode<'q, DB> + for<'r> Decode<'r, DB>,
    usize: ColumnIndex<DB::Row>,
{
    let mut select = QueryBuilder::<DB>::new("SELECT ");
    select.push_bind(a).push(" + ").push_bind(b);
    Ok(select.build().fetch_one(tx).await?.try_get(0)?)
}

fn sent<DB: Engine>(db: Db<DB>)
where
    DB::Arguments: IntoArguments<DB>,
    i64: Type<DB> + for<'q> Encode<'q, DB> + for<'r> Decode<'r, DB>,
    usize: ColumnIndex<DB::Row>,
{
    tokio::spawn(async move { sum(&db, 1, 2).await });
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert_eq!(sum(&db, 2, 3).await?, 5);
    sent(db);
    Ok(())
}
