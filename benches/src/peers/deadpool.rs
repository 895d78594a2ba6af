//! tokio-postgres with deadpool-postgres.

use anyhow::{Context, Result};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Transaction};
use tokio_postgres::{Config, NoTls};

use super::statements::one;
use crate::peer::{Peer, Transfer};
use crate::place::{Place, Size};
use crate::sql::numbered as sql;

pub struct Deadpool(Pool);

impl Peer for Deadpool {
    async fn open(place: &Place, size: Size) -> Result<Vec<Self>> {
        let pools = size.share(&pool(place, size)?);
        Ok(pools.into_iter().map(Self).collect())
    }

    async fn touch(&mut self, id: i64) -> Result<()> {
        let mut client = self.0.get().await?;
        let tx = client.transaction().await?;
        read(&tx, id).await?;
        Ok(tx.commit().await?)
    }

    async fn transfer(&mut self, transfer: Transfer) -> Result<()> {
        let Transfer { low, high, cents } = transfer;
        let mut client = self.0.get().await?;
        let tx = client.transaction().await?;
        add(&tx, low, -cents).await?;
        add(&tx, high, cents).await?;
        let book = tx.prepare_cached(sql::BOOK).await?;
        tx.execute(&book, &[&low, &high, &cents]).await?;
        Ok(tx.commit().await?)
    }

    async fn empty(&mut self) -> Result<()> {
        let mut client = self.0.get().await?;
        Ok(client.transaction().await?.commit().await?)
    }

    async fn add(&mut self, id: i64, cents: i64) -> Result<()> {
        let mut client = self.0.get().await?;
        let tx = client.transaction().await?;
        add(&tx, id, cents).await?;
        Ok(tx.commit().await?)
    }

    async fn read_only(&mut self, id: i64) -> Result<()> {
        let mut client = self.0.get().await?;
        let tx = client.build_transaction().read_only(true).start().await?;
        read(&tx, id).await?;
        Ok(tx.commit().await?)
    }

    async fn joined(&mut self, _: usize, id: i64) -> Result<()> {
        self.touch(id).await
    }

    async fn nested(&mut self, depth: usize, id: i64) -> Result<()> {
        let mut client = self.0.get().await?;
        let mut tx = client.transaction().await?;
        for _ in 0..depth {
            let inner = tx.transaction().await?;
            read(&inner, id).await?;
            inner.commit().await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Builds a pool with deadpool's defaults.
pub fn pool(place: &Place, size: Size) -> Result<Pool> {
    let mut config = Config::new();
    config
        .host(&place.host)
        .port(place.port)
        .user(&place.user)
        .password(&place.password)
        .dbname(&place.database);
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_config(config, NoTls, recycling);
    let pool = Pool::builder(manager).max_size(size.sessions);
    pool.build().context("deadpool")
}

async fn read(tx: &Transaction<'_>, id: i64) -> Result<()> {
    let read = tx.prepare_cached(sql::READ).await?;
    let row = tx.query_one(&read, &[&id]).await?;
    std::hint::black_box(row.try_get::<_, i64>(0)?);
    Ok(())
}

async fn add(tx: &Transaction<'_>, id: i64, cents: i64) -> Result<()> {
    let add = tx.prepare_cached(sql::ADD).await?;
    one(tx.execute(&add, &[&cents, &id]).await?)
}
