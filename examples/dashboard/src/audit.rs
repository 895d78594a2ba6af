//! Checks that no money is missing in the database, and no transfer that was reported as committed.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::Core;
use crate::bank::{Bank, TOTAL};
use crate::load::Load;

/// An audit may take one part in this many of the time, because a growing ledger takes ever longer
/// to count.
const PART: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// The contents of the database, and what is expected of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Audit {
    /// The sum of all balances.
    cents: i64,
    expected: i64,
    /// The number of transfers in the ledger.
    rows: i64,
    /// The number of transfers that were reported as committed before the ledger was read.
    acknowledged: i64,
    is_right: bool,
}

impl Audit {
    pub(crate) async fn take(bank: &dyn Bank, load: &Load) -> Result<Self, sqlx::Error> {
        // This comes first, because transfers that are reported from now on may not be in the
        // ledger.
        let acknowledged = load.acknowledged();
        let count = bank.count().await?;
        Ok(Self {
            cents: count.cents,
            expected: TOTAL,
            rows: count.transfers,
            acknowledged,
            is_right: count.cents == TOTAL && count.transfers >= acknowledged,
        })
    }

    /// Returns whether the sum is unchanged and no transfer that was reported as committed is
    /// missing.
    pub fn is_right(&self) -> bool {
        self.is_right
    }
}

impl std::fmt::Display for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            cents,
            rows,
            acknowledged,
            ..
        } = self;
        write!(
            f,
            "{cents} cents of {TOTAL}, {rows} transfers in the ledger, \
             {acknowledged} told to be committed"
        )
    }
}

/// Keeps the latest audit up to date. It is `None` while the database cannot be queried.
pub(crate) async fn keep(core: Arc<Core>, latest: watch::Sender<Option<Audit>>) {
    loop {
        let begun = Instant::now();
        let audit = Audit::take(&*core.bank, &core.load).await;
        latest.send_replace(audit.ok());
        sleep(PAUSE.max(begun.elapsed() * PART)).await;
    }
}
