//! The records of all scopes of a run, and the check of what their callers were told against the
//! database.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::bank::Contents;
use crate::interrupt::{Subject, run};
use crate::record::{Fee, HookOutcome, Note, Outcome, Record};
use crate::scenario::{Phase, Scenario, Shape};

/// The records of the scopes that have ended, and their counts.
pub struct Journal {
    /// The time before which no scope has begun.
    pub started: Instant,
    next: AtomicI64,
    records: Mutex<Vec<Arc<Record>>>,
    counts: [AtomicU64; 5],
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            next: AtomicI64::new(1),
            records: Mutex::default(),
            counts: Default::default(),
        }
    }
}

impl Journal {
    pub const COUNTED: [&str; 5] = ["ok", "failed", "unknown", "dropped", "panicked"];

    pub fn next_id(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs one scope, and keeps its record.
    pub async fn run<S: Subject>(&self, subject: &S, scenario: Scenario) -> Outcome {
        let record = Arc::new(Record::new(scenario));
        run(subject.clone(), &record).await;
        let outcome = record.outcome();
        self.add(record);
        outcome
    }

    fn add(&self, record: Arc<Record>) {
        let counter = match record.outcome() {
            Outcome::Ok(_) => 0,
            Outcome::Err(_) => 1,
            Outcome::Unknown => 2,
            Outcome::Dropped => 3,
            Outcome::Panicked | Outcome::Misbehaved(_) => 4,
        };
        self.counts[counter].fetch_add(1, Ordering::Relaxed);
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.push(record);
    }

    pub fn counts(&self) -> [u64; 5] {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.counts.each_ref().map(count)
    }

    pub fn take(&self) -> Vec<Arc<Record>> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *records)
    }
}

/// The violations of what txn promises. Every count has to be 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Violations {
    pub committed_but_absent: u64,
    pub failed_but_present: u64,
    /// Scopes that were dropped before their body returned.
    pub dropped_but_present: u64,
    /// Hooks that were told something false.
    pub hooks_told_wrong: u64,
    /// Hooks that did not run, or ran twice.
    pub hooks_not_run_once: u64,
    /// Scopes that hung or panicked by themselves.
    pub misbehaved: u64,
}

impl Violations {
    pub fn find<'r>(
        contents: &Contents,
        records: impl IntoIterator<Item = &'r Arc<Record>>,
    ) -> Self {
        let mut violations = Self::default();
        for record in records {
            violations.check(contents, record);
        }
        violations
    }

    fn check(&mut self, contents: &Contents, record: &Record) {
        let (present, outcome) = (contents.has_transfer(record), record.outcome());
        self.misbehaved += u64::from(matches!(outcome, Outcome::Misbehaved(_)));
        self.hooks_not_run_once += u64::from(!record.ran_one_hook());
        self.hooks_told_wrong += u64::from(match record.hook_outcome() {
            Some(HookOutcome::Committed) => !present,
            Some(HookOutcome::RolledBack) => present,
            Some(HookOutcome::Unknown) | None => false,
        });
        self.committed_but_absent += contents.absent(record, outcome);
        self.failed_but_present += contents.present(record, outcome);
        let early = record.phase_of_drop() < Some(Phase::Commit);
        self.dropped_but_present += u64::from(outcome == Outcome::Dropped && early && present);
    }
}

impl Contents {
    pub fn has_transfer(&self, record: &Record) -> bool {
        self.entries.contains(&[record.scenario.id, 0])
    }

    /// Counts the parts of a scope that were reported as committed, but are absent.
    fn absent(&self, record: &Record, outcome: Outcome) -> u64 {
        let id = record.scenario.id;
        let is_transfer = record.scenario.shape != Shape::Autocommit;
        let is_ok = matches!(outcome, Outcome::Ok(_));
        let fee = outcome == Outcome::Ok(Fee::Taken) && !self.entries.contains(&[id, 1]);
        let note = record.note() == Note::Written && !self.notes.contains(&[id]);
        u64::from(is_transfer && is_ok && !self.has_transfer(record))
            + u64::from(fee)
            + u64::from(note)
    }

    /// Counts the parts of a scope that were reported as not committed, but are present.
    fn present(&self, record: &Record, outcome: Outcome) -> u64 {
        let id = record.scenario.id;
        let failed = matches!(outcome, Outcome::Err(_) | Outcome::Panicked);
        let skipped = outcome == Outcome::Ok(Fee::Skipped);
        let fee = (failed || skipped) && self.entries.contains(&[id, 1]);
        let note = record.note() == Note::Failed && self.notes.contains(&[id]);
        u64::from(failed && self.has_transfer(record)) + u64::from(fee) + u64::from(note)
    }
}
