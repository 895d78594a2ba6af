//! How a scope has ended, as the labels of its duration.

use crate::model::labels::{Labels, ScopeKind, ScopeOutcome, ScopePhase};

const OUTCOMES: usize = ScopeOutcome::ALL.len();
const PHASES: usize = ScopePhase::ALL.len();

/// All that share a table are of one kind.
#[derive(Clone, Copy)]
pub(super) struct ScopeEnd {
    pub(super) kind: ScopeKind,
    pub(super) how: ScopeOutcome,
    pub(super) phase: ScopePhase,
}

impl Labels for ScopeEnd {
    type Table<T> = [T; OUTCOMES * PHASES];

    fn table<T>(mut make: impl FnMut() -> T) -> Self::Table<T> {
        std::array::from_fn(|_| make())
    }

    fn index(self) -> usize {
        self.how as usize * PHASES + self.phase as usize
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.kind.as_str(), self.how.as_str(), self.phase.as_str()]
    }
}
