//! The metrics: their recorder, and a parser for the text of `/metrics`, so that the page shows
//! only figures that Prometheus gets too.
//!
//! Names are as in `with_recommended_naming` (`txn_scope_duration_seconds`, `txn_rollbacks_total`).
//! Histograms have buckets, which unlike quantiles can be added up over instances. `grafana.json`
//! relies on both.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

/// The buckets in seconds, from what SQLite needs for a scope to what an operator waits for.
const BUCKETS: [f64; 18] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];
const ATTEMPT_BUCKETS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0];

/// Returns the recorder of this process. The first call installs it, and has to precede any `Db`.
pub(crate) fn install_recorder() -> Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let recorder = build_recorder()?;
    let made = recorder.handle();
    metrics::set_global_recorder(recorder).context("install the recorder")?;
    Ok(handle.insert(made).clone())
}

fn build_recorder() -> Result<PrometheusRecorder> {
    let attempts = Matcher::Full("txn.scope.attempts".into());
    Ok(PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets(&BUCKETS)?
        .set_buckets_for_metric(attempts, &ATTEMPT_BUCKETS)?
        .build_recorder())
}

/// A text in Prometheus' exposition format, parsed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exposition(Vec<Sample>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Exposition {
    pub(crate) fn read(text: &str) -> Self {
        Self(text.lines().filter_map(sample).collect())
    }

    /// Returns the samples that have this label with this value.
    pub(crate) fn only(&self, label: &str, value: &str) -> Self {
        let is_one = |sample: &&Sample| sample.labels.get(label).is_some_and(|has| has == value);
        Self(self.0.iter().filter(is_one).cloned().collect())
    }

    /// Returns the sums of all samples of this name, by the value of one of their labels.
    pub(crate) fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.0.iter().filter(|sample| sample.name == name) {
            if let Some(value) = sample.labels.get(label) {
                *sums.entry(value.clone()).or_default() += sample.value;
            }
        }
        sums
    }

    pub(crate) fn total(&self, name: &str) -> f64 {
        let samples = self.0.iter().filter(|sample| sample.name == name);
        // This is not `sum()`, which returns -0 for no samples.
        samples.fold(0.0, |sum, sample| sum + sample.value)
    }

    /// Returns a histogram's upper bounds, and the number of values below each.
    pub(crate) fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let buckets = self.by(&format!("{name}_bucket"), "le").into_iter();
        let bounds = buckets.filter_map(|(bound, count)| Some((bound.parse().ok()?, count)));
        let mut buckets: Vec<(f64, f64)> = bounds.collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    }
}

/// Parses a line like `name{label="value",…} 1`.
fn sample(line: &str) -> Option<Sample> {
    let (key, value) = line.rsplit_once(' ')?;
    let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
    Some(Sample {
        name: name.into(),
        labels: labels_of(labels)?,
        value: value.parse().ok()?,
    })
}

/// Parses the labels after the opening brace.
fn labels_of(mut rest: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !rest.starts_with('}') {
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = unquote(quoted)?;
        labels.insert(name.into(), value);
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    Some(labels)
}

/// Splits a text at the closing quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP x Things
# TYPE x counter
x{pool="bank",how="a"} 1
x{pool="bank",how="a",who="\"},{\\"} 2
x{pool="bank",how="b"} 4
x{pool="other",how="b"} 8
y_bucket{pool="bank",le="+Inf"} 9
y_bucket{pool="bank",le="10"} 5
y_bucket{pool="bank",le="2.5"} 3
z 1
"#;

    #[test]
    fn samples_are_added_up_by_a_label() {
        let text = Exposition::read(TEXT).only("pool", "bank");
        let sums = [("a".into(), 3.0), ("b".into(), 4.0)];
        assert_eq!(text.by("x", "how"), BTreeMap::from(sums));
        assert_eq!(text.total("x"), 7.0);
        assert_eq!(text.total("z"), 0.0);
    }

    #[test]
    fn buckets_are_in_the_order_of_their_bounds() {
        let text = Exposition::read(TEXT).only("pool", "bank");
        let buckets = [(2.5, 3.0), (10.0, 5.0), (f64::INFINITY, 9.0)];
        assert_eq!(text.buckets("y"), buckets);
    }

    #[test]
    fn labels_may_hold_what_ends_labels() {
        let line = sample(r#"x{who="\"},{\\",how="a b"} 2"#).unwrap();
        assert_eq!(line.labels["who"], r#""},{\"#);
        assert_eq!(line.labels["how"], "a b");
    }
}
