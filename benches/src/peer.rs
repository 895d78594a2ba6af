//! The operations of a peer. A new peer is a file in `peers/` and a line in `peers.rs`.

use anyhow::{Result, bail};

use crate::place::{Place, Size};

/// A transfer of money. The lower id comes first in every transaction, so that no two transactions
/// deadlock.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub low: i64,
    pub high: i64,
    /// The amount taken from the account `low`.
    pub cents: i64,
}

/// One way to run a transaction, as used by one task.
///
/// Every operation is one transaction. An error means that the server refused or something broke;
/// it fails the whole run.
pub trait Peer: Send + Sized + 'static {
    /// Opens a peer for each task, or fewer if each holds a session. They share their pool.
    fn open(place: &Place, size: Size) -> impl Future<Output = Result<Vec<Self>>> + Send;

    /// Reads one row by its key.
    fn touch(&mut self, id: i64) -> impl Future<Output = Result<()>> + Send;

    /// Runs two UPDATEs and an INSERT.
    fn transfer(&mut self, transfer: Transfer) -> impl Future<Output = Result<()>> + Send;

    /// Begins and commits.
    fn empty(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `empty`") }
    }

    /// Updates one row.
    fn add(&mut self, _id: i64, _cents: i64) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `add`") }
    }

    /// Runs [`touch`](Self::touch) in a read-only transaction.
    fn read_only(&mut self, _id: i64) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `read_only`") }
    }

    /// Runs [`touch`](Self::touch) inside of `depth` functions that join one transaction.
    fn joined(&mut self, _depth: usize, _id: i64) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `joined`") }
    }

    /// Runs `depth` savepoints, one after the other, with a statement in each.
    fn nested(&mut self, _depth: usize, _id: i64) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `nested`") }
    }
}
