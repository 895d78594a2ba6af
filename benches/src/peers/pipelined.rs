//! tokio-postgres with deadpool-postgres, where BEGIN and the first statement are sent together by
//! hand.
//!
//! This is the bound for a client that waits only for the answers that it needs. Nobody should
//! write such code, because a dropped future leaves the transaction open.

use anyhow::Result;
use deadpool_postgres::{Client, Pool};
use futures_util::future::try_join;
use tokio_postgres::types::ToSql;

use super::deadpool::pool;
use super::statements::one;
use crate::peer::{Peer, Transfer};
use crate::place::{Place, Size};
use crate::sql::numbered as sql;

pub struct Pipelined(Pool);

impl Peer for Pipelined {
    async fn open(place: &Place, size: Size) -> Result<Vec<Self>> {
        let pools = size.share(&pool(place, size)?);
        Ok(pools.into_iter().map(Self).collect())
    }

    async fn touch(&mut self, id: i64) -> Result<()> {
        let client = self.0.get().await?;
        let read = client.prepare_cached(sql::READ).await?;
        let parameters: [&(dyn ToSql + Sync); 1] = [&id];
        let (_, row) = try_join(
            client.batch_execute("BEGIN"),
            client.query_one(&read, &parameters),
        )
        .await?;
        std::hint::black_box(row.try_get::<_, i64>(0)?);
        Ok(client.batch_execute("COMMIT").await?)
    }

    async fn transfer(&mut self, transfer: Transfer) -> Result<()> {
        let Transfer { low, high, cents } = transfer;
        let client = self.0.get().await?;
        let add = client.prepare_cached(sql::ADD).await?;
        begin_and_add(&client, low, -cents).await?;
        one(client.execute(&add, &[&cents, &high]).await?)?;
        let book = client.prepare_cached(sql::BOOK).await?;
        client.execute(&book, &[&low, &high, &cents]).await?;
        Ok(client.batch_execute("COMMIT").await?)
    }

    async fn add(&mut self, id: i64, cents: i64) -> Result<()> {
        let client = self.0.get().await?;
        begin_and_add(&client, id, cents).await?;
        Ok(client.batch_execute("COMMIT").await?)
    }
}

async fn begin_and_add(client: &Client, id: i64, cents: i64) -> Result<()> {
    let add = client.prepare_cached(sql::ADD).await?;
    let parameters: [&(dyn ToSql + Sync); 2] = [&cents, &id];
    let (_, rows) = try_join(
        client.batch_execute("BEGIN"),
        client.execute(&add, &parameters),
    )
    .await?;
    one(rows)
}
