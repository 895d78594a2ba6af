//! What is run.

mod contended;
mod empty;
mod joined;
mod nested;
mod read_only;
mod touch;
mod transfer;

use anyhow::Result;
use clap::ValueEnum;
use fastrand::Rng;
use serde::Serialize;

pub use self::contended::Contended;
pub use self::empty::Empty;
pub use self::joined::Joined;
pub use self::nested::Nested;
pub use self::read_only::ReadOnly;
pub use self::touch::Touch;
pub use self::transfer::Transfers;
use crate::peer::Peer;

pub const ACCOUNTS: i64 = 10_000;

/// A kind of transaction.
pub trait Workload: Send + 'static {
    /// What so many of them leave behind.
    const EFFECT: Effect;

    /// Runs one.
    fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> impl Future<Output = Result<Done>> + Send;
}

/// How one came out. An error is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Finished,
    /// By the workload itself.
    Dropped,
}

/// What one transaction changes, by which it is seen whether all of them happened.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// Rows in the ledger.
    pub rows: i64,
    /// The sum of all balances.
    pub sum: i64,
}

impl Effect {
    const NONE: Self = Self { rows: 0, sum: 0 };
}

/// The workloads by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Kind {
    Empty,
    Touch,
    Transfer,
    ReadOnly,
    Joined,
    Nested,
    Contended,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Touch => "touch",
            Self::Transfer => "transfer",
            Self::ReadOnly => "read_only",
            Self::Joined => "joined",
            Self::Nested => "nested",
            Self::Contended => "contended",
        }
    }
}

fn any_account(rng: &mut Rng) -> i64 {
    rng.i64(1..=ACCOUNTS)
}
