//! What is known of one scope: what it was doing, what its caller was told, and what its hooks say.

use std::panic::panic_any;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::order::{Ending, Moment, Order};

/// What a scope is doing, as it says itself. A drop is filed under the last phase that was entered, so that a phase
/// lasts from its own mark to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Waiting for a session.
    Acquire,
    /// Told from the first one by whether its drop left anything to settle; in a raw storm it is not.
    Begin,
    /// Between statements.
    Body,
    Statement,
    /// The body has returned `Ok`.
    Commit,
    /// The body has returned an error.
    Rollback,
}

impl Phase {
    pub(crate) const ALL: [Self; 6] = [
        Self::Acquire,
        Self::Begin,
        Self::Body,
        Self::Statement,
        Self::Commit,
        Self::Rollback,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Begin => "begin",
            Self::Body => "body",
            Self::Statement => "statement",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
        }
    }
}

/// What the caller got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Ok(Fee),
    Err(&'static str),
    /// The answer to the COMMIT was lost.
    Unknown,
    Dropped,
    Panicked,
    /// It panicked by itself, or never came to an end.
    Broken(&'static str),
}

/// What became of the nested scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fee {
    None,
    Taken,
    Skipped,
}

/// What a hook was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Committed,
    RolledBack,
    Unknown,
}

/// What is known of the transaction inside, or of the autocommit statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Note {
    None,
    Written,
    Failed,
}

pub(crate) struct Record {
    pub(crate) order: Order,
    phase: AtomicU8,
    note: AtomicU8,
    checkpoints: AtomicU32,
    /// The moment of the drop counts from now.
    begun: Notify,
    hooked: OnceLock<()>,
    told: OnceLock<(Told, Instant)>,
    tellings: AtomicU8,
    dropped: OnceLock<(Phase, Instant)>,
    outcome: OnceLock<Outcome>,
}

/// The payload of a panic of ours.
pub(crate) struct Lightning;

impl Record {
    pub(crate) fn new(order: Order) -> Self {
        Self {
            order,
            phase: AtomicU8::new(0),
            note: AtomicU8::new(0),
            checkpoints: AtomicU32::new(0),
            begun: Notify::new(),
            hooked: OnceLock::new(),
            told: OnceLock::new(),
            tellings: AtomicU8::new(0),
            dropped: OnceLock::new(),
            outcome: OnceLock::new(),
        }
    }

    // -- written by the scope

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        if phase == self.order.from {
            self.begun.notify_one();
        }
    }

    /// Between two statements.
    pub(crate) async fn checkpoint(&self) {
        let number = self.checkpoints.fetch_add(1, Ordering::Relaxed);
        if self.order.ending == Ending::Panic(number) {
            panic_any(Lightning);
        }
        if self.order.thinks {
            sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn noted(&self, note: Note) {
        self.note.store(note as u8, Ordering::Relaxed);
    }

    pub(crate) fn hooked(&self) {
        self.hooked.set(()).ok();
    }

    pub(crate) fn told(&self, told: Told) {
        self.tellings.fetch_add(1, Ordering::Relaxed);
        self.told.set((told, Instant::now())).ok();
    }

    // -- written by its caller

    /// Until it is to be dropped.
    pub(crate) async fn until(&self, moment: Moment) {
        if self.order.from != Phase::Acquire {
            self.begun.notified().await;
        }
        moment.wait().await;
    }

    pub(crate) fn dropped(&self, at: Instant, left_to_settle: bool) {
        let phase = match self.phase() {
            Phase::Acquire if left_to_settle => Phase::Begin,
            phase => phase,
        };
        self.dropped.set((phase, at)).ok();
    }

    pub(crate) fn end(&self, outcome: Outcome) {
        self.outcome.set(outcome).ok();
    }

    // -- read when all is over

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    pub(crate) fn note(&self) -> Note {
        [Note::None, Note::Written, Note::Failed][usize::from(self.note.load(Ordering::Relaxed))]
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let never = Outcome::Broken("never ended");
        self.outcome.get().copied().unwrap_or(never)
    }

    pub(crate) fn phase_of_drop(&self) -> Option<Phase> {
        self.dropped.get().map(|(phase, _)| *phase)
    }

    pub(crate) fn what_hooks_say(&self) -> Option<Told> {
        self.told.get().map(|(told, _)| *told)
    }

    /// Exactly one of two hooks is to run.
    pub(crate) fn hooks_are_amiss(&self) -> bool {
        let due = u8::from(self.hooked.get().is_some());
        self.tellings.load(Ordering::Relaxed) != due
    }

    /// From the drop until the hook, which runs once the session is settled.
    pub(crate) fn settled_within(&self) -> Option<Duration> {
        let (_, dropped) = self.dropped.get()?;
        let (_, told) = self.told.get()?;
        Some(told.saturating_duration_since(*dropped))
    }
}
