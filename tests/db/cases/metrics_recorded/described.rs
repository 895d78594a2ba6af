//! A recorder is told of each metric what the documentation says of it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::*;

/// Kind and unit of every metric that was described.
#[derive(Default)]
struct Descriptions(Mutex<BTreeMap<String, String>>);

impl Descriptions {
    fn note(&self, kind: &str, name: &KeyName, unit: Option<Unit>, text: &SharedString) {
        assert!(!text.is_empty());
        let unit = match unit {
            Some(Unit::Seconds) => "s",
            Some(Unit::Count) => "1",
            unit => panic!("{unit:?}"),
        };
        let line = format!("| `{}` | {kind} | {unit} |", name.as_str());
        self.0.lock().unwrap().insert(name.as_str().to_owned(), line);
    }
}

impl Recorder for Descriptions {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.note("counter", &name, unit, &text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.note("gauge", &name, unit, &text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.note("histogram", &name, unit, &text);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn the_documentation_has_every_metric_and_no_other() {
    let descriptions = Descriptions::default();
    let listening = metrics::set_default_local_recorder(&descriptions);
    Fixture::<DB>::new().await;
    drop(listening);
    let described = descriptions.0.into_inner().unwrap();
    let page = include_str!("../../../../src/metrics.md");
    for line in described.values() {
        assert!(page.contains(line), "no line `{line}`");
    }
    let has = |line: &&str| line.starts_with("| `db.") || line.starts_with("| `txn.");
    let kinds = |line: &&str| {
        ["counter", "gauge", "histogram"].iter().any(|kind| line.contains(&format!("| {kind} |")))
    };
    assert_eq!(page.lines().filter(has).filter(kinds).count(), described.len());
}
