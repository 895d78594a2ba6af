//! What the pool keeps, and how it comes by it.

use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sqlx::Connection;

use crate::cancel::Backend;
use crate::engine::{self, ConnectOptionsOf, Engine};

/// What the pool keeps.
pub(crate) struct Pooled<DB: Engine> {
    pub(super) connection: DB::Connection,
    pub(super) backend: Backend,
    opened: Instant,
    pub(super) returned: Instant,
}

/// Makes sessions for the pool, and sorts out the ones that are too old.
pub(crate) struct Manager<DB: Engine> {
    pub(crate) options: ConnectOptionsOf<DB>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
}

impl<DB: Engine> managed::Manager for Manager<DB> {
    type Type = Pooled<DB>;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Pooled<DB>, sqlx::Error> {
        // Boxed, or every scope's future would have room for it.
        let connect = Box::pin(engine::connect::<DB>(&self.options));
        let (connection, backend) = connect.await?;
        let now = Instant::now();
        Ok(Pooled {
            connection,
            backend,
            opened: now,
            returned: now,
        })
    }

    async fn recycle(&self, pooled: &mut Pooled<DB>, _: &Metrics) -> RecycleResult<sqlx::Error> {
        let over = |limit: Option<Duration>, since: Instant| {
            limit.is_some_and(|limit| since.elapsed() > limit)
        };
        if over(self.idle_timeout, pooled.returned) || over(self.max_lifetime, pooled.opened) {
            return Err(RecycleError::message("too old"));
        }
        Ok(())
    }
}

impl<DB: Engine> Pooled<DB> {
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}
