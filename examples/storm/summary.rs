//! The results in figures.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use txn_chaos::bank::Contents;
use txn_chaos::{Fee, Outcome, Phase, Record, Shape, Violations};

use crate::events::Events;
use crate::faults::Counts;
use crate::pool::Leftovers;
use crate::recovery::Returned;

pub(crate) struct Summary {
    pub(crate) elapsed: Duration,
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) events: Events,
    pub(crate) faults: Counts,
    pub(crate) locks: Option<Locks>,
    /// The recovery, if there were faults.
    pub(crate) returned: Option<Returned>,
    pub(crate) end: Final,
}

/// The state after the storm.
#[derive(Default)]
pub(crate) struct Final {
    pub(crate) leftovers: Leftovers,
    /// Sessions in a transaction, as the server sees it.
    pub(crate) in_transaction: Vec<String>,
    /// The time until the server showed that.
    pub(crate) noticed: Duration,
    /// The number of sessions that could be acquired at once.
    pub(crate) sessions: usize,
    pub(crate) closed: bool,
    pub(crate) contents: Contents,
}

/// A histogram of times.
pub(crate) struct Times(Histogram<u64>);

/// The times from the drop of a scope in a slow query until another scope has its lock, and until
/// its session is settled.
#[derive(Default)]
pub(crate) struct Locks {
    pub(crate) released: Times,
    pub(crate) settled: Times,
}

/// The commits with an unknown outcome, as the ledger resolves them.
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

    /// Returns the times from the drop until the hook that reports it. Scopes that were dropped
    /// before they had hooks are not included.
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
            match self.end.contents.has_transfer(record) {
                true => unknown.present += 1,
                false => unknown.absent += 1,
            }
        }
        unknown
    }

    pub(crate) fn violations(&self) -> Violations {
        let recovery = self.returned.iter().flat_map(|returned| &returned.records);
        Violations::find(&self.end.contents, self.records.iter().chain(recovery))
    }
}

fn name(record: &Record) -> String {
    match record.outcome() {
        Outcome::Ok(_) if record.scenario.shape == Shape::Autocommit => "ok: autocommit".into(),
        Outcome::Ok(Fee::None) => "ok".into(),
        Outcome::Ok(Fee::Taken) => "ok, with its nested scope".into(),
        Outcome::Ok(Fee::Skipped) => "ok, its nested scope given up".into(),
        Outcome::Err(name) => format!("error: {name}"),
        Outcome::Unknown => "error: commit unknown".into(),
        Outcome::Dropped => "dropped".into(),
        Outcome::Panicked => "panicked on purpose".into(),
        Outcome::Misbehaved(how) => how.into(),
    }
}

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new(3).expect("3 significant digits are allowed"))
    }
}

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0 += u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |percent| Duration::from_micros(self.0.value_at_percentile(percent));
        let (p50, p99, max) = (at(50.0), at(99.0), Duration::from_micros(self.0.max()));
        write!(f, "p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}")
    }
}
