//! How a caller comes by a session.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use deadpool::managed::{Object, PoolError};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::Db;
use crate::engine::Engine;
use crate::error::{Error, Exhausted};
use crate::session::Session;

impl<DB: Engine> Db<DB> {
    pub(crate) async fn acquire(
        &self,
        deadline: Instant,
        writes: bool,
    ) -> Result<Session<DB>, Error> {
        let waiting = Waiting::new(&self.0.waiting);
        let has_turn = AtomicBool::new(false);
        let lease = async {
            let turn = self.turn(writes).await?;
            has_turn.store(true, Ordering::Relaxed);
            let object = self.0.pool.get().await.map_err(pool_error)?;
            Ok((object, turn))
        };
        let leased: Result<(Object<_>, _), Error> = match timeout_at(deadline, lease).await {
            Ok(leased) => leased,
            Err(_) => return Err(self.exhausted(deadline, has_turn.into_inner())),
        };
        drop(waiting);
        let (object, turn) = leased?;
        Ok(Session::new(
            object,
            self.clone(),
            self.0.leases.token(),
            turn,
        ))
    }

    /// A place at the head of the writers' queue, before a session is taken: who waits holds none.
    async fn turn(&self, writes: bool) -> Result<Option<OwnedSemaphorePermit>, Error> {
        match &self.0.writers {
            Some(writers) if writes => match writers.clone().acquire_owned().await {
                Ok(turn) => Ok(Some(turn)),
                Err(_) => Err(Error::closed()),
            },
            _ => Ok(None),
        }
    }

    fn exhausted(&self, deadline: Instant, has_turn: bool) -> Error {
        let status = self.status();
        let limit = self.0.limits.acquire_timeout;
        let waited = limit + Instant::now().saturating_duration_since(deadline);
        Error::acquire_timeout(Exhausted {
            limit,
            waited,
            has_turn,
            max: status.max,
            in_use: status.in_use,
            settling: status.settling,
            waiting: status.waiting.saturating_sub(1),
        })
    }
}

fn pool_error(error: PoolError<sqlx::Error>) -> Error {
    match error {
        PoolError::Backend(error) => Error::connect(error),
        PoolError::Closed => Error::closed(),
        // Only with timeouts and hooks, of which there are none.
        error => Error::connect(sqlx::Error::Configuration(error.to_string().into())),
    }
}

/// Counts a caller as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
