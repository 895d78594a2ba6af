//! The workloads.

mod cancel;
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
use serde::{Deserialize, Serialize};

pub use self::cancel::{Cancel, Killed};
pub use self::contended::Contended;
pub use self::empty::Empty;
pub use self::joined::Joined;
pub use self::nested::Nested;
pub use self::read_only::ReadOnly;
pub use self::touch::Touch;
pub use self::transfer::{Transfers, any_transfer};
use crate::peer::Peer;

pub const ACCOUNTS: i64 = 10_000;

/// A kind of transaction.
pub trait Workload: Send + 'static {
    /// The changes that each transaction makes.
    const EFFECT: Effect;

    /// True if the workload drops some of its transactions.
    const DROPS: bool = false;

    /// Runs one transaction.
    fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> impl Future<Output = Result<Done>> + Send;
}

/// How a transaction ended, apart from errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Finished,
    /// The workload dropped it.
    Dropped,
}

/// The changes of one transaction, which show whether all transactions happened.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Kind {
    Empty,
    Touch,
    Transfer,
    ReadOnly,
    #[value(name = "joined_1")]
    Joined1,
    #[value(name = "joined_3")]
    Joined3,
    #[value(name = "joined_10")]
    Joined10,
    #[value(name = "nested_1")]
    Nested1,
    #[value(name = "nested_3")]
    Nested3,
    Contended,
    Cancel,
    Killed,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Touch => "touch",
            Self::Transfer => "transfer",
            Self::ReadOnly => "read_only",
            Self::Joined1 => "joined_1",
            Self::Joined3 => "joined_3",
            Self::Joined10 => "joined_10",
            Self::Nested1 => "nested_1",
            Self::Nested3 => "nested_3",
            Self::Contended => "contended",
            Self::Cancel => "cancel",
            Self::Killed => "killed",
        }
    }

    /// Returns whether some of its transactions are dropped.
    pub fn drops(self) -> bool {
        matches!(self, Self::Cancel | Self::Killed)
    }
}

/// Calls a function that is generic over the workload.
#[macro_export]
macro_rules! with_workload {
    ($kind:expr, $function:ident :: < $peer:ty > $arguments:tt) => {{
        use $crate::workloads::*;
        match $kind {
            Kind::Empty => $function::<$peer, Empty> $arguments,
            Kind::Touch => $function::<$peer, Touch> $arguments,
            Kind::Transfer => $function::<$peer, Transfers> $arguments,
            Kind::ReadOnly => $function::<$peer, ReadOnly> $arguments,
            Kind::Joined1 => $function::<$peer, Joined<1>> $arguments,
            Kind::Joined3 => $function::<$peer, Joined<3>> $arguments,
            Kind::Joined10 => $function::<$peer, Joined<10>> $arguments,
            Kind::Nested1 => $function::<$peer, Nested<1>> $arguments,
            Kind::Nested3 => $function::<$peer, Nested<3>> $arguments,
            Kind::Contended => $function::<$peer, Contended> $arguments,
            Kind::Cancel => $function::<$peer, Cancel> $arguments,
            Kind::Killed => $function::<$peer, Killed> $arguments,
        }
    }};
}

fn any_account(rng: &mut Rng) -> i64 {
    rng.i64(1..=ACCOUNTS)
}
