//! diesel-async, with its deadpool.

use anyhow::{Result, anyhow};
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::statements::one;
use crate::peer::{Peer, Transfer};
use crate::place::{Place, Size};

diesel::table! {
    account (id) {
        id -> BigInt,
        balance -> BigInt,
    }
}

diesel::table! {
    ledger (debtor) {
        debtor -> BigInt,
        creditor -> BigInt,
        cents -> BigInt,
    }
}

pub struct Diesel(Pool<AsyncPgConnection>);

impl Diesel {
    async fn session(&self) -> Result<Object<AsyncPgConnection>> {
        self.0.get().await.map_err(|error| anyhow!(error))
    }
}

impl Peer for Diesel {
    async fn open(place: &Place, size: Size) -> Result<Vec<Self>> {
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(&place.url);
        let pool = Pool::builder(manager).max_size(size.sessions).build()?;
        Ok(size.share(&pool).into_iter().map(Self).collect())
    }

    async fn touch(&mut self, id: i64) -> Result<()> {
        let mut session = self.session().await?;
        session.transaction(async |on| read(on, id).await).await
    }

    async fn transfer(&mut self, transfer: Transfer) -> Result<()> {
        let Transfer { low, high, cents } = transfer;
        let mut session = self.session().await?;
        session
            .transaction(async |on| {
                add(on, low, -cents).await?;
                add(on, high, cents).await?;
                let book = (
                    ledger::debtor.eq(low),
                    ledger::creditor.eq(high),
                    ledger::cents.eq(cents),
                );
                let book = diesel::insert_into(ledger::table).values(book);
                one(u64::try_from(book.execute(on).await?)?)
            })
            .await
    }

    async fn nested(&mut self, depth: usize, id: i64) -> Result<()> {
        let mut session = self.session().await?;
        session
            .transaction(async |on| {
                for _ in 0..depth {
                    on.transaction(async |on| read(on, id).await).await?;
                }
                anyhow::Ok(())
            })
            .await
    }
}

async fn read(on: &mut AsyncPgConnection, id: i64) -> Result<()> {
    let row = account::table.find(id).select(account::balance);
    std::hint::black_box(row.first::<i64>(on).await?);
    Ok(())
}

async fn add(on: &mut AsyncPgConnection, id: i64, cents: i64) -> Result<()> {
    let row = diesel::update(account::table.find(id));
    let add = row.set(account::balance.eq(account::balance + cents));
    one(u64::try_from(add.execute(on).await?)?)
}
