//! The report: counts, latencies, and the results of the audit.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use indicatif::HumanCount;

use crate::domain::{Fee, Refusal};

/// A transfer that was processed.
pub(crate) struct Done {
    pub(crate) outcome: Result<Fee, Refusal>,
    pub(crate) retries: u32,
    /// The time that it took, including the wait for a session.
    pub(crate) elapsed: Duration,
}

pub(crate) struct Tally {
    posted: u64,
    fees_taken: u64,
    fees_skipped: u64,
    refused: BTreeMap<&'static str, u64>,
    retries: u64,
    microseconds: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            posted: 0,
            fees_taken: 0,
            fees_skipped: 0,
            refused: BTreeMap::new(),
            retries: 0,
            microseconds: Histogram::new(3).expect("3 significant digits are allowed"),
        }
    }

    pub(crate) fn add(&mut self, done: &Done) {
        self.retries += u64::from(done.retries);
        self.microseconds += u64::try_from(done.elapsed.as_micros()).unwrap_or(u64::MAX);
        let fee = match done.outcome {
            Ok(fee) => fee,
            Err(refusal) => return *self.refused.entry(refusal.reason()).or_default() += 1,
        };
        self.posted += 1;
        match fee {
            Fee::None => {}
            Fee::Taken => self.fees_taken += 1,
            Fee::Skipped => self.fees_skipped += 1,
        }
    }

    fn percentile(&self, percent: f64) -> Duration {
        Duration::from_micros(self.microseconds.value_at_percentile(percent))
    }
}

/// The contents of the database at the end.
pub(crate) struct Audit {
    pub(crate) balances: i128,
    pub(crate) disagreeing: i64,
    pub(crate) ledger_entries: i64,
    pub(crate) refusals: i64,
}

pub(crate) struct Report {
    pub(crate) system: &'static str,
    pub(crate) malformed: usize,
    /// The sum of all balances before anything was posted.
    pub(crate) opening: i128,
    pub(crate) tally: Tally,
    pub(crate) elapsed: Duration,
    pub(crate) audit: Audit,
}

struct Check {
    claim: &'static str,
    expected: i128,
    found: i128,
}

impl Report {
    pub(crate) fn is_sound(&self) -> bool {
        self.checks().iter().all(Check::holds)
    }

    fn checks(&self) -> [Check; 4] {
        let Self { tally, audit, .. } = self;
        let entries = tally.posted + tally.fees_taken;
        let refused: u64 = tally.refused.values().sum();
        [
            Check {
                claim: "sum of balances unchanged, cents",
                expected: self.opening,
                found: audit.balances,
            },
            Check {
                claim: "accounts that disagree with the ledger",
                expected: 0,
                found: audit.disagreeing.into(),
            },
            Check {
                claim: "ledger entries = posted + fees taken",
                expected: entries.into(),
                found: audit.ledger_entries.into(),
            },
            Check {
                claim: "refusals recorded = refused",
                expected: refused.into(),
                found: audit.refusals.into(),
            },
        ]
    }

    fn counts(&self) -> Vec<(String, u64)> {
        let tally = &self.tally;
        let mut counts = vec![("posted".to_owned(), tally.posted)];
        for (reason, count) in &tally.refused {
            counts.push((format!("refused: {reason}"), *count));
        }
        counts.extend([
            ("refused: malformed row".to_owned(), self.malformed as u64),
            ("fees taken".to_owned(), tally.fees_taken),
            ("fees skipped".to_owned(), tally.fees_skipped),
            ("postings tried again".to_owned(), tally.retries),
        ]);
        counts
    }

    fn figures(&self) -> [(&'static str, String); 3] {
        let percentile = |percent| format!("{:.1?}", self.tally.percentile(percent));
        let per_second = self.tally.microseconds.len() as f64 / self.elapsed.as_secs_f64();
        [
            ("transfers per second", format!("{per_second:.0}")),
            ("latency p50", percentile(50.0)),
            ("latency p99", percentile(99.0)),
        ]
    }
}

impl Check {
    fn holds(&self) -> bool {
        self.expected == self.found
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.holds() {
            true => write!(f, "ok: {}", self.found),
            false => write!(f, "FAILED: {}, expected {}", self.found, self.expected),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let elapsed = format!("{:.2?}", self.elapsed);
        table.set_header([format!("Bank on {}", self.system), elapsed]);
        for (what, count) in self.counts() {
            table.add_row([what, HumanCount(count).to_string()]);
        }
        for (what, figure) in self.figures() {
            table.add_row([what, &figure]);
        }
        for check in self.checks() {
            table.add_row([check.claim, &check.to_string()]);
        }
        if let Some(values) = table.column_mut(1) {
            values.set_cell_alignment(CellAlignment::Right);
        }
        table.fmt(f)
    }
}
