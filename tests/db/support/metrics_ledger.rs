//! The metrics of one test: a recorder of its own, and how far each metric has moved.

use std::collections::BTreeMap;

use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use txn::{Db, Engine};

const UTILIZATION: &str = "txn.sessions.utilization";
const STATES: [&str; 5] = [
    "db.client.connection.count{idle}",
    "db.client.connection.count{used}",
    "db.client.connection.pending_requests",
    "txn.settling",
    UTILIZATION,
];

/// A ledger follows the handles that were made in its thread while it listened, whichever thread
/// moves their metrics.
pub(crate) struct Ledger {
    snapshotter: Snapshotter,
    /// The values of the gauges, which a snapshot sets back.
    states: BTreeMap<String, f64>,
    system: &'static str,
}

impl Ledger {
    pub(crate) fn listen<DB: Engine>(recorder: &DebuggingRecorder) -> Self {
        Self {
            snapshotter: recorder.snapshotter(),
            states: BTreeMap::new(),
            system: DB::SYSTEM,
        }
    }

    /// Returns what has moved since the last call, and by how much: counters and gauges by their
    /// value, histograms by the number of samples. Each line is `name{label label} amount`, in
    /// order.
    pub(crate) fn moved(&mut self) -> Vec<String> {
        let mut moved = BTreeMap::new();
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let name = self.name(key.key());
            let amount = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Histogram(values) => {
                    assert!(
                        values.iter().all(|value| (0.0..60.0).contains(&value.0)),
                        "{name}"
                    );
                    values.len() as f64
                }
                DebugValue::Gauge(value) => self.state(&name, value.0),
            };
            assert_eq!(key.kind() == MetricKind::Gauge, is_state(&name), "{name}");
            if amount != 0.0 {
                moved.insert(name, amount);
            }
        }
        moved
            .iter()
            .map(|(name, amount)| format!("{name} {amount}"))
            .collect()
    }

    /// The utilization is set, all other gauges are counted up and down; a snapshot makes both 0.
    fn state(&mut self, name: &str, value: f64) -> f64 {
        let state = self.states.entry(name.to_owned()).or_default();
        if name == UTILIZATION {
            *state = value;
            return 0.0;
        }
        *state += value;
        value
    }

    fn name(&self, key: &metrics::Key) -> String {
        let mut own = Vec::new();
        let mut shared = 0;
        for label in key.labels() {
            match label.key() {
                "db.client.connection.pool.name" => shared += 1,
                "db.system.name" => {
                    assert_eq!(label.value(), self.system);
                    shared += 1;
                }
                _ => own.push(label.value()),
            }
        }
        assert_eq!(shared, 2, "{key}");
        match own[..] {
            [] => key.name().to_owned(),
            _ => format!("{}{{{}}}", key.name(), own.join(" ")),
        }
    }

    pub(crate) fn utilization(&self) -> f64 {
        self.states.get(UTILIZATION).copied().unwrap_or_default()
    }

    /// Asserts that the gauges agree with the status of the handle.
    #[track_caller]
    pub(crate) fn assert_agrees_with<DB: Engine>(&mut self, db: &Db<DB>) {
        let status = db.status();
        let expected = [
            status.idle,
            status.in_use + status.settling,
            status.waiting,
            status.settling,
        ];
        for (name, expected) in STATES.iter().zip(expected) {
            let shown = self.states.get(*name).copied().unwrap_or_default();
            assert_eq!(shown, expected as f64, "{name}: {status:?}");
        }
        // The utilization is not known here between two of its changes.
        if status.in_use + status.settling == 0 {
            assert_eq!(self.utilization(), 0.0, "{status:?}");
        }
    }
}

fn is_state(name: &str) -> bool {
    ["db.client.connection.max", "txn.breaker.open"].contains(&name) || STATES.contains(&name)
}
