//! What one scope is to do, and how far it has come.

use std::time::Duration;

use rand::RngExt;
use tokio::sync::watch;

pub(crate) const ACCOUNTS: i64 = 100;
/// What each account holds at first.
pub(crate) const OPENING: i64 = 10_000;

/// One transfer.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) debtor: i64,
    pub(crate) creditor: i64,
    pub(crate) cents: i64,
    /// Of the nested scope; `None`: there is none.
    pub(crate) fee: Option<Fee>,
    /// How long the body thinks, with its locks held.
    pub(crate) pause: Option<Duration>,
    /// Locks in any order, so that there are deadlocks.
    disorderly: bool,
    stage: watch::Sender<Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fee {
    Taken,
    /// Rolled back alone; the transfer goes on.
    Refused,
}

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Called,
    Body,
    /// The body is about to return.
    Ending,
}

impl Order {
    pub(crate) fn draw(id: i64) -> Self {
        let mut rng = rand::rng();
        let debtor = rng.random_range(1..=ACCOUNTS);
        let others = rng.random_range(1..ACCOUNTS);
        Self {
            id,
            debtor,
            creditor: (debtor + others - 1) % ACCOUNTS + 1,
            cents: rng.random_range(1..=500),
            fee: match rng.random_range(0..10) {
                0..3 => Some(Fee::Taken),
                3 => Some(Fee::Refused),
                _ => None,
            },
            pause: rng
                .random_bool(0.2)
                .then(|| Duration::from_millis(rng.random_range(1..4))),
            disorderly: rng.random_bool(0.02),
            stage: watch::Sender::new(Stage::Called),
        }
    }

    /// Both halves, in the order in which they are posted.
    pub(crate) fn postings(&self) -> [(i64, i64); 2] {
        let (debit, credit) = ((self.debtor, -self.cents), (self.creditor, self.cents));
        match self.disorderly || self.debtor < self.creditor {
            true => [debit, credit],
            false => [credit, debit],
        }
    }

    pub(crate) fn reached(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    pub(crate) async fn until(&self, stage: Stage) {
        let mut stages = self.stage.subscribe();
        // Its sender is ours, so that it does not fail.
        stages.wait_for(|now| *now >= stage).await.ok();
    }
}
