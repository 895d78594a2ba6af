//! What all sessions remember can become out of date at once.
//!
//! Each session notes the era in which it last made sure of what it remembers: the statements that are prepared on it, and the runtime
//! that its connection lives in. Something that makes all sessions suspect begins a new one. Whoever takes a session of an older era
//! makes sure first, so that no more than those meet the error that were in use just then.

use std::sync::atomic::{AtomicU32, Ordering};

/// Of one session.
pub(super) type Epoch = u32;

#[derive(Debug, Default)]
pub(crate) struct Epochs(AtomicU32);

impl Epochs {
    pub(super) fn now(&self) -> Epoch {
        self.0.load(Ordering::Acquire)
    }

    /// Ends whatever era it is.
    pub(crate) fn begin(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends this era, if it is not over already.
    pub(super) fn end(&self, epoch: Epoch) {
        let next = epoch.wrapping_add(1);
        // Fails only where somebody else has ended it.
        let _ended = self
            .0
            .compare_exchange(epoch, next, Ordering::AcqRel, Ordering::Relaxed);
    }
}
