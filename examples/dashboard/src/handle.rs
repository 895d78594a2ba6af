//! The bank on this engine.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use sqlx::Connection;
use tokio::time::sleep;
use txn::{ConnectOptionsOf, Db, OpenScope, Status};

use super::{Database, hold, schema, scopes, terminate};
use crate::Arguments;
use crate::bank::{Bank, Count, Failure};
use crate::order::Order;

/// For a session: shorter than usual, so that one sees it run out.
const ACQUIRE: Duration = Duration::from_secs(3);
/// Until callers are told at once that the server is out of reach; likewise.
const BREAKER: Duration = Duration::from_secs(1);
/// Callers of a service give up: under lasting overload those who wait for longer are refused, and the others served quickly.
const TARGET: Duration = Duration::from_millis(50);

struct Handle {
    db: Db<Database>,
    direct: ConnectOptionsOf<Database>,
}

/// `options` may lead over a rough network, `direct` does not.
pub(crate) async fn open(
    options: ConnectOptionsOf<Database>,
    direct: ConnectOptionsOf<Database>,
    arguments: &Arguments,
) -> Result<Arc<dyn Bank>> {
    let mut connection = schema::connect(&direct).await.context("connect")?;
    let created = schema::create(&mut connection).await;
    created.context("create the tables")?;
    let builder = Db::builder(options)
        .pool_name(arguments.name.as_str())
        .max_sessions(arguments.sessions.into())
        .acquire_timeout(ACQUIRE)
        .breaker_after(BREAKER)
        .queue_target(TARGET);
    let db = builder.connect().await.context("connect")?;
    Ok(Arc::new(Handle { db, direct }))
}

#[async_trait]
impl Bank for Handle {
    async fn transfer(&self, order: &Order) -> Result<(), Failure> {
        scopes::transfer(&self.db, order).await
    }

    async fn report(&self) -> Result<(), Failure> {
        scopes::report(&self.db).await
    }

    fn status(&self) -> Status {
        self.db.status()
    }

    async fn scopes(&self) -> Vec<OpenScope> {
        self.db.scopes().await
    }

    async fn close(&self) {
        self.db.close().await;
    }

    async fn count(&self) -> Result<Count, sqlx::Error> {
        schema::count(&mut schema::connect(&self.direct).await?).await
    }

    async fn hold_lock(&self, how_long: Duration) -> Result<(), sqlx::Error> {
        let mut direct = schema::connect(&self.direct).await?;
        let tx = hold(&mut direct).await?;
        sleep(how_long).await;
        tx.rollback().await?;
        direct.close().await
    }

    async fn terminate(&self) -> Result<(), sqlx::Error> {
        terminate(&mut schema::connect(&self.direct).await?).await
    }
}
