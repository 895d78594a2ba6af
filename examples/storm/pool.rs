//! The pool under test at the end of a storm: a `Db` of txn here, and sqlx alone in `raw.rs`.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{sleep, timeout};
use txn::{Breaker, Db, Session};
use txn_chaos::{Database, Engine, Subject};

use crate::settings::Settings;

/// The timeouts for a session, for a cleanup, and for a server that is down. They are shorter than
/// usual, so that they expire at times.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(2);
const AWAY: Duration = Duration::from_millis(200);
/// The target for waiting. Under lasting overload, callers that wait for longer are refused, as in
/// a service whose callers give up.
const TARGET: Duration = Duration::from_millis(50);
/// The longest wait, which is beyond every limit of a cleanup.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) trait Pool: Subject {
    /// Waits until no cleanup is pending, and returns what is left.
    fn settle(&self) -> impl Future<Output = Leftovers> + Send;

    /// Takes that many sessions at once, and returns how many it got.
    fn acquire_all(&self, sessions: usize) -> impl Future<Output = usize> + Send;

    /// Closes the pool, and returns whether that ended.
    fn close(self) -> impl Future<Output = bool> + Send;
}

/// The state of a pool that nobody uses any more.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leftovers {
    pub(crate) in_use: usize,
    pub(crate) settling: usize,
    /// True if callers would be refused, although nobody waits and the server is up.
    pub(crate) refuses: bool,
}

pub(crate) async fn connect<E: Engine>(
    database: &Database<E>,
    settings: &Settings,
) -> Result<Db<E>> {
    let builder = Db::builder(database.options.clone())
        .max_sessions(settings.sessions)
        .acquire_timeout(ACQUIRE)
        .settle_timeout(SETTLE)
        .breaker_after(AWAY)
        .queue_target(TARGET);
    builder.connect().await.context(E::SYSTEM_NAME)
}

impl<E: Engine> Pool for Db<E> {
    async fn settle(&self) -> Leftovers {
        timeout(PATIENCE, self.settled()).await.ok();
        // The pool knows that the overload is over when nobody has waited for a while.
        let over = async {
            while self.status().shedding {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, over).await.ok();
        let status = self.status();
        Leftovers {
            in_use: status.in_use,
            settling: status.settling,
            refuses: status.shedding || status.breaker != Breaker::Closed,
        }
    }

    async fn acquire_all(&self, sessions: usize) -> usize {
        let mut acquired: Vec<Session<E>> = Vec::new();
        for _ in 0..sessions {
            let session = timeout(PATIENCE / 6, self.session()).await;
            acquired.extend(session.ok().and_then(Result::ok));
        }
        acquired.len()
    }

    async fn close(self) -> bool {
        timeout(PATIENCE, Db::close(&self)).await.is_ok()
    }
}
