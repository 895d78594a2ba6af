//! The results as a table.

use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::HumanCount;
use txn_chaos::Phase;

use crate::recovery::{BOUND, Returned};
use crate::settings::Settings;
use crate::summary::{Locks, Summary};

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
        if let Some(returned) = &summary.returned {
            report.add_recovery(returned);
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

    /// Returns the warnings of the runtime.
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
        if times.is_empty() {
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
            locks.released.count().to_string(),
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

    fn add_recovery(&mut self, returned: &Returned) {
        let (before, after) = (returned.before, returned.after);
        let share = 100.0 * returned.share();
        self.row("throughput before the faults", format!("{before:.0}/s"));
        let after = format!("{after:.0}/s ({share:.0} %)");
        self.row("throughput after the faults", after);
        let within = match returned.within {
            Some(within) => format!("{within:.1?}"),
            None => format!("not within {BOUND:?}"),
        };
        self.row("end of the faults until 80 % of it is back", within);
    }

    fn add_losses(&mut self, summary: &Summary, settings: &Settings) {
        let (end, violations) = (&summary.end, summary.violations());
        self.row(
            "server sees no transaction after",
            format!("{:.0?}", end.noticed),
        );
        let slots = settings.sessions.saturating_sub(end.sessions);
        let stuck = end.leftovers.in_use + end.leftovers.settling;
        self.losses = vec![
            (
                "cents created or lost",
                end.contents.money_gained.unsigned_abs(),
            ),
            (
                "accounts that disagree with the ledger",
                end.contents.accounts_disagreeing.unsigned_abs(),
            ),
            (
                "commits reported but absent",
                violations.committed_but_absent,
            ),
            (
                "failures reported but present",
                violations.failed_but_present,
            ),
            (
                "dropped before the commit but present",
                violations.dropped_but_present,
            ),
            (
                "scopes that hung or panicked by themselves",
                violations.misbehaved,
            ),
            ("sessions in a transaction", end.in_transaction.len() as u64),
            ("sessions in use or settling", stuck as u64),
            ("slots lost", slots as u64),
            (
                "handles that go on refusing callers",
                u64::from(end.leftovers.refuses),
            ),
            ("handles that cannot be closed", u64::from(!end.closed)),
        ];
        if let Some(returned) = &summary.returned {
            let lost = u64::from(!returned.is_enough());
            self.losses.push(("did not come back to throughput", lost));
        }
        if !settings.raw {
            self.losses.extend([
                ("hooks that were told wrong", violations.hooks_told_wrong),
                ("hooks that did not run once", violations.hooks_not_run_once),
            ]);
        }
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
