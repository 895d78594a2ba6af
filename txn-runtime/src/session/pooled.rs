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
    pub(super) opened: Instant,
    pub(super) returned: Instant,
}

/// Makes sessions for the pool, and sorts out the ones that are too old.
pub(crate) struct Manager<DB: Engine> {
    pub(crate) options: ConnectOptionsOf<DB>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    /// How long a refusal that may pass is met with another try: less than a caller waits, who is told of the refusal then.
    pub(crate) patience: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

impl<DB: Engine> Manager<DB> {
    async fn connect(&self) -> Result<(DB::Connection, Backend), sqlx::Error> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match engine::connect::<DB>(&self.options).await {
                Err(error) if may_pass::<DB>(&error) && begun.elapsed() + pause < self.patience => {
                    tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "cannot connect yet");
                }
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn may_pass<DB: Engine>(error: &sqlx::Error) -> bool {
    match error {
        // The server has not yet taken those who came before off its list (EAGAIN on a unix socket).
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        sqlx::Error::Database(error) => DB::may_connect_soon(&**error),
        _ => false,
    }
}

impl<DB: Engine> managed::Manager for Manager<DB> {
    /// Boxed, as it is moved with each session.
    type Type = Box<Pooled<DB>>;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Box<Pooled<DB>>, sqlx::Error> {
        // Boxed, or every scope's future would have room for it.
        let (connection, backend) = Box::pin(self.connect()).await?;
        let now = Instant::now();
        Ok(Box::new(Pooled {
            connection,
            backend,
            opened: now,
            returned: now,
        }))
    }

    async fn recycle(
        &self,
        pooled: &mut Box<Pooled<DB>>,
        _: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        let now = Instant::now();
        let over = |limit: Option<Duration>, since: Instant| {
            limit.is_some_and(|limit| now.duration_since(since) > limit)
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
