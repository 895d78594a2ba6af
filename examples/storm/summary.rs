//! What came of it, in figures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::calm::Calm;
use crate::events::Events;
use crate::ledger::{Broken, Ledger};
use crate::order::Shape;
use crate::record::{Fee, Outcome, Phase, Record};
use crate::report::{Locks, Times};
use crate::subject::Rest;

pub(crate) struct Summary {
    pub(crate) elapsed: Duration,
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) events: Events,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) locks: Option<Locks>,
    /// Where there were faults, with the scopes of the load before and after them.
    pub(crate) calm: Option<(Calm, Vec<Arc<Record>>)>,
    pub(crate) end: End,
}

/// What was left when the storm was over.
pub(crate) struct End {
    pub(crate) rest: Rest,
    /// Sessions in a transaction, as the server sees it.
    pub(crate) in_transaction: Vec<String>,
    /// How long it took the server to see it so.
    pub(crate) noticed: Duration,
    /// Sessions that could be had at once.
    pub(crate) taken: usize,
    pub(crate) closed: bool,
    pub(crate) ledger: Ledger,
}

/// Unknown commits, as the ledger resolves them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unknown {
    pub(crate) present: u64,
    pub(crate) absent: u64,
}

impl Summary {
    pub(crate) fn outcomes(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for record in &self.records {
            *counts.entry(name(record)).or_default() += 1;
        }
        counts
    }

    pub(crate) fn drops(&self, phase: Phase) -> u64 {
        let dropped = self
            .records
            .iter()
            .filter_map(|record| record.phase_of_drop());
        dropped.filter(|at| *at == phase).count() as u64
    }

    /// From the drop until the hook that says so. Scopes dropped before they had hooks are not among them.
    pub(crate) fn settle_times(&self) -> Times {
        let mut times = Times::default();
        for time in self
            .records
            .iter()
            .filter_map(|record| record.settled_within())
        {
            times.add(time);
        }
        times
    }

    pub(crate) fn unknown(&self) -> Unknown {
        let mut unknown = Unknown::default();
        let is_unknown = |record: &&Arc<Record>| record.outcome() == Outcome::Unknown;
        for record in self.records.iter().filter(is_unknown) {
            match self.end.ledger.has(record) {
                true => unknown.present += 1,
                false => unknown.absent += 1,
            }
        }
        unknown
    }

    pub(crate) fn broken(&self) -> Broken {
        let calm = self.calm.iter().flat_map(|(_, records)| records);
        let records: Vec<_> = self.records.iter().chain(calm).collect();
        self.end.ledger.check(&records)
    }
}

fn name(record: &Record) -> String {
    match record.outcome() {
        Outcome::Ok(_) if record.order.shape == Shape::Autocommit => "ok: autocommit".into(),
        Outcome::Ok(Fee::None) => "ok".into(),
        Outcome::Ok(Fee::Taken) => "ok, with its nested scope".into(),
        Outcome::Ok(Fee::Skipped) => "ok, its nested scope given up".into(),
        Outcome::Err(name) => format!("error: {name}"),
        Outcome::Unknown => "error: commit unknown".into(),
        Outcome::Dropped => "dropped".into(),
        Outcome::Panicked => "panicked on purpose".into(),
        Outcome::Broken(how) => how.into(),
    }
}
