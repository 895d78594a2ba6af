//! The bank, as those see it who need not know its engine.

use std::time::Duration;

use async_trait::async_trait;
use txn::{OpenScope, Status};

use crate::order::{ACCOUNTS, OPENING, Order};

/// What all accounts hold together, always.
pub(crate) const TOTAL: i64 = ACCOUNTS * OPENING;

#[async_trait]
pub(crate) trait Bank: Send + Sync {
    async fn transfer(&self, order: &Order) -> Result<(), Failure>;

    /// A slow scope that reads only.
    async fn report(&self) -> Result<(), Failure>;

    fn status(&self) -> Status;

    async fn scopes(&self) -> Vec<OpenScope>;

    async fn close(&self);

    /// What the database holds, over a connection of its own: txn not in between.
    async fn count(&self) -> Result<Count, sqlx::Error>;

    /// Another connection holds for so long what everybody needs to write.
    async fn hold_lock(&self, how_long: Duration) -> Result<(), sqlx::Error>;

    /// Ends all sessions, on the server.
    async fn terminate(&self) -> Result<(), sqlx::Error>;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    /// Of all accounts.
    pub(crate) cents: i64,
    /// Transfers that are in the ledger.
    pub(crate) transfers: i64,
}

/// Why a transfer was not made. The page reads the metrics; here it only has to be told apart what rolls back alone.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The debtor does not hold that much.
    Overdraft,
    /// The bank does not take this fee.
    Refused,
    Database,
}

impl From<txn::Error> for Failure {
    fn from(_: txn::Error) -> Self {
        Self::Database
    }
}

impl From<sqlx::Error> for Failure {
    fn from(_: sqlx::Error) -> Self {
        Self::Database
    }
}
