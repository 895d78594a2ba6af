//! Epochs: how all sessions become suspect at once.
//!
//! Some things that a session remembers can become out of date for all sessions of a pool at once:
//! the statements that are prepared on it (a schema change), and the runtime that its connection
//! lives in (the end of that runtime). Each session notes the epoch in which it was last known to
//! be up to date. An event that makes all sessions suspect begins a new epoch, and whoever takes a
//! session of an older one checks it first. So only the sessions that were in use at that moment
//! can fail.

use std::sync::atomic::{AtomicU32, Ordering};

/// The epoch in which a session was last known to be up to date. Epochs are only compared for
/// equality, so it does no harm that they wrap around.
pub(super) type Epoch = u32;

/// The current epoch of one pool.
///
/// Reads acquire and writes release: whoever sees a new epoch also sees what led to it, such as the
/// end of a runtime in the list of reapers.
#[derive(Debug, Default)]
pub(crate) struct Epochs(AtomicU32);

impl Epochs {
    /// Returns the current epoch.
    pub(super) fn now(&self) -> Epoch {
        self.0.load(Ordering::Acquire)
    }

    /// Begins a new epoch.
    pub(crate) fn advance(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Begins a new epoch if the current one is still `epoch`. Many sessions may notice the same
    /// event, and one new epoch is enough for it.
    pub(super) fn advance_from(&self, epoch: Epoch) {
        let next = epoch.wrapping_add(1);
        // It fails only if somebody else has begun a new epoch already.
        let _advanced = self
            .0
            .compare_exchange(epoch, next, Ordering::AcqRel, Ordering::Relaxed);
    }
}
