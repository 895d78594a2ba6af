//! What came of it, as a table.

use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use indicatif::HumanCount;

use crate::Settings;
use crate::calm::{BOUND, Calm};
use crate::record::Phase;
use crate::summary::Summary;

/// Times in a histogram.
pub(crate) struct Times(Histogram<u64>);

/// From the drop of a scope in a slow query until another scope has its lock, and until its session is settled.
#[derive(Default)]
pub(crate) struct Locks {
    pub(crate) released: Times,
    pub(crate) settled: Times,
}

pub(crate) struct Report {
    title: String,
    elapsed: Option<Duration>,
    rows: Vec<(String, String)>,
    losses: Vec<(&'static str, u64)>,
    events: Vec<(String, u64)>,
}

impl Report {
    pub(crate) fn of(system: &str, summary: &Summary, settings: &Settings) -> Self {
        let subject = if settings.raw { "sqlx alone" } else { "txn" };
        let mut report = Self::new(format!("Storm on {system}, {subject}"));
        report.elapsed = Some(summary.elapsed);
        report.row("seed", settings.seed.to_string());
        report.add_counts(summary);
        report.add_drops(summary);
        if let Some(locks) = &summary.locks {
            report.add_locks(locks);
        }
        for (what, count) in &summary.faults {
            report.row(*what, count.to_string());
        }
        if let Some((calm, _)) = &summary.calm {
            report.add_calm(calm);
        }
        report.add_losses(summary, settings);
        let left = summary.end.in_transaction.iter();
        let left = left.map(|what| (format!("still in a transaction: {what}"), 1));
        report.events = summary.events.counts().into_iter().chain(left).collect();
        report
    }

    pub(crate) fn of_locks(system: &str, locks: &Locks) -> Self {
        let mut report = Self::new(format!("Locks of dropped scopes on {system}"));
        report.add_locks(locks);
        report
    }

    fn new(title: String) -> Self {
        Self {
            title,
            elapsed: None,
            rows: Vec::new(),
            losses: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.losses.iter().all(|(_, lost)| *lost == 0)
    }

    /// The warnings of the runtime, for the curious.
    pub(crate) fn events(&self) -> &[(String, u64)] {
        &self.events
    }

    fn row(&mut self, what: impl Into<String>, figure: impl Into<String>) {
        self.rows.push((what.into(), figure.into()));
    }

    fn add_counts(&mut self, summary: &Summary) {
        let scopes = summary.records.len();
        let per_second = scopes as f64 / summary.elapsed.as_secs_f64();
        let count = HumanCount(scopes as u64);
        self.row("scopes", format!("{count} ({per_second:.0}/s)"));
        for (name, count) in summary.outcomes() {
            self.row(name, HumanCount(count).to_string());
        }
        let unknown = summary.unknown();
        let resolved = format!("{} / {}", unknown.present, unknown.absent);
        self.row("commits unknown: were committed / were not", resolved);
    }

    fn add_drops(&mut self, summary: &Summary) {
        for phase in Phase::ALL {
            let count = HumanCount(summary.drops(phase)).to_string();
            self.row(format!("dropped in phase {}", phase.name()), count);
        }
        let (times, closed) = (summary.settle_times(), summary.events.closed());
        if times.0.is_empty() {
            return;
        }
        self.row(
            "sessions closed instead of settled",
            HumanCount(closed).to_string(),
        );
        self.row("drop until settled", times.to_string());
    }

    fn add_locks(&mut self, locks: &Locks) {
        self.row(
            "probes of a lock held in a 20 s query",
            locks.released.0.len().to_string(),
        );
        self.row(
            "drop until the lock is free for others",
            locks.released.to_string(),
        );
        self.row(
            "drop until the session is settled",
            locks.settled.to_string(),
        );
    }

    fn add_calm(&mut self, calm: &Calm) {
        let (before, after, share) = (calm.before, calm.after, 100.0 * calm.share());
        self.row("throughput before the faults", format!("{before:.0}/s"));
        let after = format!("{after:.0}/s ({share:.0} %)");
        self.row("throughput after the faults", after);
        let within = match calm.back_within {
            Some(within) => format!("{within:.1?}"),
            None => format!("not within {BOUND:?}"),
        };
        self.row("end of the faults until 80 % of it is back", within);
    }

    fn add_losses(&mut self, summary: &Summary, settings: &Settings) {
        let (end, broken) = (&summary.end, summary.broken());
        self.row(
            "server sees no transaction after",
            format!("{:.0?}", end.noticed),
        );
        let slots = settings.sessions.saturating_sub(end.taken);
        let stuck = end.rest.in_use + end.rest.settling;
        self.losses = vec![
            (
                "cents created or lost",
                end.ledger.money_gained.unsigned_abs(),
            ),
            (
                "accounts that disagree with the ledger",
                end.ledger.accounts_disagreeing.unsigned_abs(),
            ),
            ("commits reported but absent", broken.committed_but_absent),
            ("failures reported but present", broken.failed_but_present),
            (
                "dropped before the commit but present",
                broken.dropped_but_present,
            ),
            (
                "scopes that hung or panicked by themselves",
                broken.ended_badly,
            ),
            ("sessions in a transaction", end.in_transaction.len() as u64),
            ("sessions in use or settling", stuck as u64),
            ("slots lost", slots as u64),
            (
                "handles that go on refusing callers",
                u64::from(end.rest.refuses),
            ),
            ("handles that cannot be closed", u64::from(!end.closed)),
        ];
        if let Some((calm, _)) = &summary.calm {
            let lost = u64::from(!calm.is_back());
            self.losses.push(("did not come back to throughput", lost));
        }
        if !settings.raw {
            self.losses.extend([
                ("hooks that were told wrong", broken.hooks_wrong),
                ("hooks that did not run once", broken.hooks_amiss),
            ]);
        }
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let elapsed = self.elapsed.map(|elapsed| format!("{elapsed:.1?}"));
        table.set_header([&self.title, &elapsed.unwrap_or_default()]);
        for (what, figure) in &self.rows {
            table.add_row([what, figure]);
        }
        for (what, lost) in &self.losses {
            let found = match lost {
                0 => "ok: 0".to_owned(),
                _ => format!("LOST: {}", HumanCount(*lost)),
            };
            table.add_row([*what, &found]);
        }
        if let Some(values) = table.column_mut(1) {
            values.set_cell_alignment(CellAlignment::Right);
        }
        table.fmt(f)
    }
}
