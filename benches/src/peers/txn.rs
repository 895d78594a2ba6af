//! txn, which the other peers are compared with.

use anyhow::{Context, Result, bail};
use txn::{Db, transactional};

use super::statements::{Statements, one};
use crate::peer::{Peer, Transfer};
use crate::place::{Engine, Place, Size};

/// Defines functions, each of which calls the next one.
macro_rules! joined {
    ($tx:ty; $name:ident $next:ident $($more:ident)*) => {
        #[transactional]
        async fn $name(tx: &mut $tx, id: i64) -> Result<()> {
            $next(tx, id).await
        }
        joined!($tx; $next $($more)*);
    };
    ($tx:ty; $last:ident) => {};
}

macro_rules! txn_on {
    ($module:ident, $db:ty, $sql:path) => {
        pub mod $module {
            use txn::Tx;
            use $sql as sql;

            use super::*;

            pub struct Txn(pub(super) Db<$db>);

            #[transactional]
            async fn read(tx: &mut Tx<$db>, id: i64) -> Result<()> {
                let balance = sqlx::query_scalar(sql::READ).bind(id);
                let _: i64 = std::hint::black_box(balance.fetch_one(tx).await?);
                Ok(())
            }

            #[transactional]
            #[expect(unused_variables, reason = "there is nothing to run")]
            async fn empty(tx: &mut Tx<$db>) -> Result<()> {
                Ok(())
            }

            #[transactional(read_only)]
            async fn only_read(tx: &mut Tx<$db>, id: i64) -> Result<()> {
                let balance = sqlx::query_scalar(sql::READ).bind(id);
                let _: i64 = std::hint::black_box(balance.fetch_one(tx).await?);
                Ok(())
            }

            #[transactional]
            async fn add(tx: &mut Tx<$db>, id: i64, cents: i64) -> Result<()> {
                let add = sqlx::query(sql::ADD).bind(cents).bind(id);
                one(add.execute(tx).await?.rows_affected())
            }

            #[transactional]
            async fn transfer(tx: &mut Tx<$db>, transfer: Transfer) -> Result<()> {
                let Transfer { low, high, cents } = transfer;
                add(tx, low, -cents).await?;
                add(tx, high, cents).await?;
                let book = sqlx::query(sql::BOOK).bind(low).bind(high).bind(cents);
                book.execute(tx).await?;
                Ok(())
            }

            joined!(Tx<$db>; ten nine eight seven six five four three two single read);

            #[transactional(nested)]
            async fn inner(tx: &mut Tx<$db>, id: i64) -> Result<()> {
                let balance = sqlx::query_scalar(sql::READ).bind(id);
                let _: i64 = std::hint::black_box(balance.fetch_one(tx).await?);
                Ok(())
            }

            #[transactional]
            async fn with_savepoints(tx: &mut Tx<$db>, count: usize, id: i64) -> Result<()> {
                for _ in 0..count {
                    inner(tx, id).await?;
                }
                Ok(())
            }

            impl Peer for Txn {
                async fn open(place: &Place, size: Size) -> Result<Vec<Self>> {
                    let db = connect::<$db>(place, size).await?;
                    Ok(size.share(&db).into_iter().map(Self).collect())
                }

                async fn touch(&mut self, id: i64) -> Result<()> {
                    read(&self.0, id).await
                }

                async fn transfer(&mut self, order: Transfer) -> Result<()> {
                    transfer(&self.0, order).await
                }

                async fn empty(&mut self) -> Result<()> {
                    empty(&self.0).await
                }

                async fn add(&mut self, id: i64, cents: i64) -> Result<()> {
                    add(&self.0, id, cents).await
                }

                async fn read_only(&mut self, id: i64) -> Result<()> {
                    only_read(&self.0, id).await
                }

                async fn joined(&mut self, depth: usize, id: i64) -> Result<()> {
                    match depth {
                        0 => read(&self.0, id).await,
                        1 => single(&self.0, id).await,
                        3 => three(&self.0, id).await,
                        10 => ten(&self.0, id).await,
                        _ => bail!("there are no {depth} functions"),
                    }
                }

                async fn nested(&mut self, depth: usize, id: i64) -> Result<()> {
                    with_savepoints(&self.0, depth, id).await
                }
            }
        }
    };
}

txn_on!(postgres, txn::Postgres, crate::sql::numbered);
txn_on!(mariadb, txn::MySql, crate::sql::positional);
txn_on!(sqlite, txn::Sqlite, crate::sql::numbered);

async fn connect<DB>(place: &Place, size: Size) -> Result<Db<DB>>
where
    DB: txn::Engine + Statements,
{
    let builder = Db::builder(DB::options(place)?).max_sessions(size.sessions);
    Ok(builder.connect().await?)
}

/// A peer that can wait until everything is settled.
pub enum Settling {
    Postgres(postgres::Txn),
    MariaDb(mariadb::Txn),
    Sqlite(sqlite::Txn),
}

impl Settling {
    pub async fn open(place: &Place, size: Size) -> Result<Self> {
        let opened = match place.engine {
            Engine::Postgres => first(postgres::Txn::open(place, size).await?).map(Self::Postgres),
            Engine::MariaDb => first(mariadb::Txn::open(place, size).await?).map(Self::MariaDb),
            Engine::Sqlite => first(sqlite::Txn::open(place, size).await?).map(Self::Sqlite),
        };
        opened.context("one task")
    }

    pub async fn transfer(&mut self, transfer: Transfer) -> Result<()> {
        match self {
            Self::Postgres(it) => it.transfer(transfer).await,
            Self::MariaDb(it) => it.transfer(transfer).await,
            Self::Sqlite(it) => it.transfer(transfer).await,
        }
    }

    pub async fn settled(&self) {
        match self {
            Self::Postgres(it) => it.0.settled().await,
            Self::MariaDb(it) => it.0.settled().await,
            Self::Sqlite(it) => it.0.settled().await,
        }
    }
}

fn first<T>(of: Vec<T>) -> Option<T> {
    of.into_iter().next()
}
