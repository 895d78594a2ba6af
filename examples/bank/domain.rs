//! The types of the bank.

use serde::Deserialize;
use thiserror::Error;

/// The bank's own account, which receives the fees. The ids of customers begin with 1.
pub(crate) const BANK: i64 = 0;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) owner: String,
    pub(crate) cents: i64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) id: i64,
    pub(crate) debtor: i64,
    pub(crate) creditor: i64,
    pub(crate) cents: i64,
    pub(crate) fee: i64,
}

/// The outcome of the fee of a posted transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fee {
    None,
    Taken,
    Skipped,
}

/// The reason that a transfer was not posted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("account {0} does not exist")]
    UnknownAccount(i64),
    #[error("account {0} does not hold that much")]
    Overdraft(i64),
}

impl Refusal {
    /// Returns the reason without details, for counting.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::UnknownAccount(_) => "unknown account",
            Self::Overdraft(_) => "overdraft",
        }
    }
}
