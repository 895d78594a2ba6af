//! sqlx with its own pool.

use std::marker::PhantomData;

use anyhow::Result;
use sqlx::pool::PoolOptions;
use sqlx::{Connection, Pool, Transaction};

use super::statements::Statements;
use crate::peer::{Peer, Transfer};
use crate::place::{Place, Size};

/// The settings in which the peers on this pool differ.
pub trait Flavour: Send + Sync + 'static {
    const PING: bool = true;
    const BEGIN: Option<&str> = None;
}

/// The default configuration.
pub struct Plain;
impl Flavour for Plain {}

/// Does not ping a connection before it is used.
pub struct NoPing;
impl Flavour for NoPing {
    const PING: bool = false;
}

/// Takes SQLite's write lock at once.
pub struct Immediate;
impl Flavour for Immediate {
    const BEGIN: Option<&str> = Some("BEGIN IMMEDIATE");
}

pub struct SqlxPool<DB: Statements, F>(Pool<DB>, PhantomData<F>);

impl<DB: Statements, F: Flavour> SqlxPool<DB, F> {
    async fn begin(&self) -> Result<Transaction<'static, DB>> {
        Ok(match F::BEGIN {
            None => self.0.begin().await?,
            Some(statement) => self.0.begin_with(statement).await?,
        })
    }
}

impl<DB: Statements, F: Flavour> Peer for SqlxPool<DB, F> {
    async fn open(place: &Place, size: Size) -> Result<Vec<Self>> {
        let pool = PoolOptions::new()
            .max_connections(u32::try_from(size.sessions)?)
            .test_before_acquire(F::PING);
        let pool = pool.connect_with(DB::options(place)?).await?;
        let clones = size.share(&pool).into_iter();
        Ok(clones.map(|pool| Self(pool, PhantomData)).collect())
    }

    async fn touch(&mut self, id: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        DB::read(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }

    async fn transfer(&mut self, transfer: Transfer) -> Result<()> {
        let mut tx = self.begin().await?;
        DB::transfer(&mut tx, transfer).await?;
        Ok(tx.commit().await?)
    }

    async fn empty(&mut self) -> Result<()> {
        Ok(self.begin().await?.commit().await?)
    }

    async fn add(&mut self, id: i64, cents: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        DB::add(&mut tx, id, cents).await?;
        Ok(tx.commit().await?)
    }

    async fn read_only(&mut self, id: i64) -> Result<()> {
        let mut tx = self.0.begin_with(DB::BEGIN_READ_ONLY).await?;
        DB::read(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }

    /// Functions that take part in a transaction of sqlx cost nothing more.
    async fn joined(&mut self, _: usize, id: i64) -> Result<()> {
        self.touch(id).await
    }

    async fn nested(&mut self, depth: usize, id: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        for _ in 0..depth {
            let mut inner = Connection::begin(&mut *tx).await?;
            DB::read(&mut inner, id).await?;
            inner.commit().await?;
        }
        Ok(tx.commit().await?)
    }
}
