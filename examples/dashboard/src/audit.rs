//! Whether the money is all there, as the database has it, and what was said to be committed.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::Core;
use crate::bank::{Bank, TOTAL};
use crate::load::Load;

/// It may take this part of the time: a ledger that grows takes ever longer to count.
const PART: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// What the database holds, beside what it should.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Audit {
    /// What all accounts hold together.
    cents: i64,
    expected: i64,
    /// Transfers in the ledger.
    rows: i64,
    /// Transfers whose callers were told that they are committed, before the ledger was read.
    acknowledged: i64,
    is_right: bool,
}

impl Audit {
    pub(crate) async fn take(bank: &dyn Bank, load: &Load) -> Result<Self, sqlx::Error> {
        // First: what is told from now on may not be in the ledger yet.
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

    /// The sum is what it was, and nothing that was said to be committed is missing.
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

/// `None` while the database cannot be asked.
pub(crate) async fn keep(core: Arc<Core>, latest: watch::Sender<Option<Audit>>) {
    loop {
        let begun = Instant::now();
        let audit = Audit::take(&*core.bank, &core.load).await;
        latest.send_replace(audit.ok());
        sleep(PAUSE.max(begun.elapsed() * PART)).await;
    }
}
