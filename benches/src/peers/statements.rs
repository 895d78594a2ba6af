//! The statements on a connection of sqlx, for all peers that use it.

use anyhow::{Result, bail};
use sqlx::{Connection, Database, Executor};

use crate::peer::Transfer;
use crate::place::Place;

/// A database of sqlx, with the statements of the workloads.
pub trait Statements: Database {
    fn options(place: &Place) -> Result<<Self::Connection as Connection>::Options>;

    fn read(on: &mut Self::Connection, id: i64) -> impl Future<Output = Result<()>> + Send;

    fn transfer(
        on: &mut Self::Connection,
        transfer: Transfer,
    ) -> impl Future<Output = Result<()>> + Send;

    fn add(
        on: &mut Self::Connection,
        id: i64,
        cents: i64,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Sends BEGIN and COMMIT without a guard.
    fn bare(on: &mut Self::Connection) -> impl Future<Output = Result<()>> + Send;

    /// The statement that begins a read-only transaction.
    const BEGIN_READ_ONLY: &str;
}

macro_rules! statements {
    ($db:ty, $sql:path, $options:expr, $begin_read_only:literal) => {
        impl Statements for $db {
            const BEGIN_READ_ONLY: &str = $begin_read_only;

            fn options(place: &Place) -> Result<<Self::Connection as Connection>::Options> {
                $options(place)
            }

            async fn read(on: &mut Self::Connection, id: i64) -> Result<()> {
                use $sql as sql;
                let balance = sqlx::query_scalar(sql::READ).bind(id);
                let _: i64 = std::hint::black_box(balance.fetch_one(on).await?);
                Ok(())
            }

            async fn transfer(on: &mut Self::Connection, transfer: Transfer) -> Result<()> {
                use $sql as sql;
                let Transfer { low, high, cents } = transfer;
                Self::add(on, low, -cents).await?;
                Self::add(on, high, cents).await?;
                let book = sqlx::query(sql::BOOK).bind(low).bind(high).bind(cents);
                book.execute(on).await?;
                Ok(())
            }

            async fn add(on: &mut Self::Connection, id: i64, cents: i64) -> Result<()> {
                use $sql as sql;
                let add = sqlx::query(sql::ADD).bind(cents).bind(id);
                one(add.execute(on).await?.rows_affected())
            }

            async fn bare(on: &mut Self::Connection) -> Result<()> {
                on.execute("BEGIN").await?;
                on.execute("COMMIT").await?;
                Ok(())
            }
        }
    };
}

statements!(
    sqlx::Postgres,
    crate::sql::numbered,
    parsed,
    "BEGIN READ ONLY"
);
statements!(
    sqlx::MySql,
    crate::sql::positional,
    parsed,
    "START TRANSACTION READ ONLY"
);
statements!(
    sqlx::Sqlite,
    crate::sql::numbered,
    crate::place::sqlite_options,
    "BEGIN"
);

fn parsed<O: std::str::FromStr<Err = sqlx::Error>>(place: &Place) -> Result<O> {
    Ok(place.url.parse()?)
}

/// Fails unless one row was changed, as an UPDATE by key does.
pub fn one(rows: u64) -> Result<()> {
    match rows {
        1 => Ok(()),
        _ => bail!("{rows} rows changed instead of one"),
    }
}
