//! What was promised, held against what the database has.

use std::collections::HashSet;

use crate::order::Shape;
use crate::record::{Fee, Note, Outcome, Phase, Record, Told};

/// The database when all is over.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) money_gained: i64,
    /// Accounts whose balance is not what the ledger makes of it.
    pub(crate) accounts_disagreeing: i64,
    /// Transfers and fees.
    pub(crate) entries: HashSet<(i64, i64)>,
    pub(crate) notes: HashSet<(i64, i64)>,
}

/// What must not be: every count is to be 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Broken {
    pub(crate) committed_but_absent: u64,
    pub(crate) failed_but_present: u64,
    /// Dropped before its body had returned.
    pub(crate) dropped_but_present: u64,
    pub(crate) hooks_wrong: u64,
    pub(crate) hooks_amiss: u64,
    /// Scopes that hung or panicked by themselves.
    pub(crate) ended_badly: u64,
}

impl Ledger {
    pub(crate) fn has(&self, record: &Record) -> bool {
        self.entries.contains(&(record.order.id, 0))
    }

    pub(crate) fn check(&self, records: &[impl AsRef<Record>]) -> Broken {
        let mut broken = Broken::default();
        for record in records {
            self.check_one(record.as_ref(), &mut broken);
        }
        broken
    }

    fn check_one(&self, record: &Record, broken: &mut Broken) {
        let (present, outcome) = (self.has(record), record.outcome());
        let absent = !present;
        broken.ended_badly += u64::from(matches!(outcome, Outcome::Broken(_)));
        broken.hooks_amiss += u64::from(record.hooks_are_amiss());
        broken.hooks_wrong += u64::from(match record.what_hooks_say() {
            Some(Told::Committed) => absent,
            Some(Told::RolledBack) => present,
            Some(Told::Unknown) | None => false,
        });
        broken.committed_but_absent += self.absent(record, outcome);
        broken.failed_but_present += self.present(record, outcome);
        let early = record.phase_of_drop() < Some(Phase::Commit);
        broken.dropped_but_present += u64::from(outcome == Outcome::Dropped && early && present);
    }

    /// Parts of a scope that were reported as committed, and are not there.
    fn absent(&self, record: &Record, outcome: Outcome) -> u64 {
        let id = record.order.id;
        let is_transfer = record.order.shape != Shape::Autocommit;
        let is_ok = matches!(outcome, Outcome::Ok(_));
        let fee = outcome == Outcome::Ok(Fee::Taken) && !self.entries.contains(&(id, 1));
        let note = record.note() == Note::Written && !self.notes.contains(&(id, id));
        u64::from(is_transfer && is_ok && !self.has(record)) + u64::from(fee) + u64::from(note)
    }

    /// Parts of a scope that were reported as not committed, and are there.
    fn present(&self, record: &Record, outcome: Outcome) -> u64 {
        let id = record.order.id;
        let failed = matches!(outcome, Outcome::Err(_) | Outcome::Panicked);
        let skipped = outcome == Outcome::Ok(Fee::Skipped);
        let fee = (failed || skipped) && self.entries.contains(&(id, 1));
        let note = record.note() == Note::Failed && self.notes.contains(&(id, id));
        u64::from(failed && self.has(record)) + u64::from(fee) + u64::from(note)
    }
}
