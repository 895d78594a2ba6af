//! The record of one scope: what it was doing, and what its caller and its hooks were told.

use std::panic::{self, panic_any};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::scenario::{Delay, Interruption, Phase, Scenario};

/// The outcome that the caller of a scope saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Ok(Fee),
    Err(&'static str),
    /// The answer to the COMMIT was lost.
    Unknown,
    Dropped,
    /// It panicked as its scenario asked.
    Panicked,
    /// It panicked on its own, or never ended.
    Misbehaved(&'static str),
}

/// The fate of the nested scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fee {
    None,
    Taken,
    /// Only the nested scope was rolled back.
    Skipped,
}

/// The outcome of its transaction that a hook was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookOutcome {
    Committed,
    RolledBack,
    Unknown,
}

/// The outcome of the separate transaction inside, or of the autocommit statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Note {
    None,
    Written,
    Failed,
}

pub struct Record {
    pub scenario: Scenario,
    phase: AtomicU8,
    note: AtomicU8,
    checkpoints: AtomicU32,
    /// Notified when the delay of the drop starts.
    ready_to_drop: Notify,
    hooks_added: OnceLock<()>,
    hook_ran: OnceLock<(HookOutcome, Instant)>,
    hook_runs: AtomicU8,
    dropped: OnceLock<(Phase, Instant)>,
    outcome: OnceLock<Outcome>,
}

/// The payload of an intended panic.
struct InjectedPanic;

/// Installs a panic hook that prints no message for intended panics.
pub fn silence_injected_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !is_injected(panic.payload()) {
            default(panic);
        }
    }));
}

pub(crate) fn is_injected(payload: &(dyn std::any::Any + Send)) -> bool {
    payload.is::<InjectedPanic>()
}

impl Record {
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            phase: AtomicU8::new(0),
            note: AtomicU8::new(0),
            checkpoints: AtomicU32::new(0),
            ready_to_drop: Notify::new(),
            hooks_added: OnceLock::new(),
            hook_ran: OnceLock::new(),
            hook_runs: AtomicU8::new(0),
            dropped: OnceLock::new(),
            outcome: OnceLock::new(),
        }
    }
}

/// The methods that the scope calls.
impl Record {
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        if phase == self.scenario.from {
            self.ready_to_drop.notify_one();
        }
    }

    /// A point between two statements, where the scope may panic or wait.
    pub async fn checkpoint(&self) {
        let number = self.checkpoints.fetch_add(1, Ordering::Relaxed);
        if self.scenario.interruption == Interruption::Panic(number) {
            panic_any(InjectedPanic);
        }
        if self.scenario.thinks {
            sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn set_note(&self, note: Note) {
        self.note.store(note as u8, Ordering::Relaxed);
    }

    pub fn hooks_added(&self) {
        self.hooks_added.set(()).ok();
    }

    pub fn hook_ran(&self, outcome: HookOutcome) {
        self.hook_runs.fetch_add(1, Ordering::Relaxed);
        self.hook_ran.set((outcome, Instant::now())).ok();
    }
}

/// The methods that the runner of the scope calls.
impl Record {
    /// Waits until the scope is to be dropped.
    pub(crate) async fn until_drop(&self, delay: Delay) {
        if self.scenario.from != Phase::Acquire {
            self.ready_to_drop.notified().await;
        }
        delay.wait().await;
    }

    pub(crate) fn dropped(&self, at: Instant, left_to_settle: bool) {
        let phase = match self.phase() {
            Phase::Acquire if left_to_settle => Phase::Begin,
            phase => phase,
        };
        self.dropped.set((phase, at)).ok();
    }

    pub(crate) fn ended(&self, outcome: Outcome) {
        self.outcome.set(outcome).ok();
    }
}

/// The methods that read the record after the scope has ended.
impl Record {
    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    pub fn note(&self) -> Note {
        [Note::None, Note::Written, Note::Failed][usize::from(self.note.load(Ordering::Relaxed))]
    }

    pub fn outcome(&self) -> Outcome {
        let never = Outcome::Misbehaved("never ended");
        self.outcome.get().copied().unwrap_or(never)
    }

    pub fn phase_of_drop(&self) -> Option<Phase> {
        self.dropped.get().map(|(phase, _)| *phase)
    }

    pub fn hook_outcome(&self) -> Option<HookOutcome> {
        self.hook_ran.get().map(|(outcome, _)| *outcome)
    }

    /// Returns whether exactly one of the two hooks ran, if they were added.
    pub fn ran_one_hook(&self) -> bool {
        let due = u8::from(self.hooks_added.get().is_some());
        self.hook_runs.load(Ordering::Relaxed) == due
    }

    /// Returns the time from the drop until the hook, which runs once the session is settled.
    pub fn settled_within(&self) -> Option<Duration> {
        let (_, dropped) = self.dropped.get()?;
        let (_, ran) = self.hook_ran.get()?;
        Some(ran.saturating_duration_since(*dropped))
    }
}
