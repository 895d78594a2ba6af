//! sqlx on connections that the tasks hold, without a pool and without pings. Nothing that uses
//! this driver can be faster.

use anyhow::Result;
use sqlx::{ConnectOptions, Connection};

use super::statements::Statements;
use crate::peer::{Peer, Transfer};
use crate::place::{Place, Size};

pub struct SqlxHeld<DB: Statements>(DB::Connection);

impl<DB: Statements> Peer for SqlxHeld<DB> {
    async fn open(place: &Place, size: Size) -> Result<Vec<Self>> {
        let mut peers = Vec::new();
        for _ in 0..size.holders() {
            peers.push(Self(DB::options(place)?.connect().await?));
        }
        Ok(peers)
    }

    async fn touch(&mut self, id: i64) -> Result<()> {
        let mut tx = self.0.begin().await?;
        DB::read(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }

    async fn transfer(&mut self, transfer: Transfer) -> Result<()> {
        let mut tx = self.0.begin().await?;
        DB::transfer(&mut tx, transfer).await?;
        Ok(tx.commit().await?)
    }

    /// Runs the bare driver calls.
    async fn empty(&mut self) -> Result<()> {
        DB::bare(&mut self.0).await
    }

    async fn add(&mut self, id: i64, cents: i64) -> Result<()> {
        let mut tx = self.0.begin().await?;
        DB::add(&mut tx, id, cents).await?;
        Ok(tx.commit().await?)
    }

    async fn read_only(&mut self, id: i64) -> Result<()> {
        let mut tx = self.0.begin_with(DB::BEGIN_READ_ONLY).await?;
        DB::read(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }

    async fn joined(&mut self, _: usize, id: i64) -> Result<()> {
        self.touch(id).await
    }

    async fn nested(&mut self, depth: usize, id: i64) -> Result<()> {
        let mut tx = self.0.begin().await?;
        for _ in 0..depth {
            let mut inner = Connection::begin(&mut *tx).await?;
            DB::read(&mut inner, id).await?;
            inner.commit().await?;
        }
        Ok(tx.commit().await?)
    }
}
