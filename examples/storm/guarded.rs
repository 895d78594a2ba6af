//! The subject: a `Db` of txn.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use txn::{Breaker, Db, Session};

use super::{Bank, transfer};
use crate::record::{Fee, Record};
use crate::subject::{Failure, Rest, Subject};

/// Beyond every limit that is set on a cleanup.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(super) struct Guarded(pub(super) Db<Bank>);

impl Subject for Guarded {
    fn transfer(
        &self,
        record: Arc<Record>,
    ) -> impl Future<Output = Result<Fee, Failure>> + Send + 'static {
        let db = self.0.clone();
        async move { transfer::transfer(&db, record).await }
    }

    fn settling(&self) -> usize {
        self.0.status().settling
    }

    async fn come_to_rest(&self) -> Rest {
        timeout(PATIENCE, self.0.settled()).await.ok();
        // That the rush is over is known when nobody has waited for a while.
        let calm = async {
            while self.0.status().shedding {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, calm).await.ok();
        let status = self.0.status();
        Rest {
            in_use: status.in_use,
            settling: status.settling,
            refuses: status.shedding || status.breaker != Breaker::Closed,
        }
    }

    async fn take_all(&self, sessions: usize) -> usize {
        let mut taken: Vec<Session<Bank>> = Vec::new();
        for _ in 0..sessions {
            let session = timeout(PATIENCE / 6, self.0.session()).await;
            taken.extend(session.ok().and_then(Result::ok));
        }
        taken.len()
    }

    async fn close(self) -> bool {
        timeout(PATIENCE, self.0.close()).await.is_ok()
    }
}
