//! What a contender can do. A new one is a file in `peers/` and a line in `peers.rs`.

use anyhow::{Result, bail};

use crate::place::{Place, Size};

/// Money on its way. The lower id comes first in every transaction, so that no two wait for each other.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub low: i64,
    pub high: i64,
    /// Taken from the low one.
    pub cents: i64,
}

/// One way to run a transaction, in the hands of one task.
///
/// Every operation is one transaction. An error means that the server refused or something broke; it fails the whole
/// run.
pub trait Peer: Send + Sized + 'static {
    /// One for each task, or fewer if each holds a session: they share what is shared between tasks.
    fn open(place: &Place, size: Size) -> impl Future<Output = Result<Vec<Self>>> + Send;

    /// Reads one row by its key.
    fn touch(&mut self, id: i64) -> impl Future<Output = Result<()>> + Send;

    /// Two UPDATEs and an INSERT.
    fn transfer(&mut self, transfer: Transfer) -> impl Future<Output = Result<()>> + Send;

    /// Begins and commits.
    fn empty(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `empty`") }
    }

    /// One UPDATE of one row.
    fn add(&mut self, _id: i64, _cents: i64) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `add`") }
    }

    /// [`touch`](Self::touch) in a transaction that may only read.
    fn read_only(&mut self, _id: i64) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `read_only`") }
    }

    /// [`touch`](Self::touch) inside of so many functions that take part in one transaction.
    fn joined(&mut self, _depth: usize, _id: i64) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `joined`") }
    }

    /// So many savepoints, one after the other, and a statement in each.
    fn nested(&mut self, _depth: usize, _id: i64) -> impl Future<Output = Result<()>> + Send {
        async { bail!("this peer has no `nested`") }
    }
}
