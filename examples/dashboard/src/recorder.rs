//! The recorder that the metrics go to, and what it makes of them for Prometheus.
//!
//! Names as `with_recommended_naming` spells them (`txn_scope_duration_seconds`, `txn_rollbacks_total`), and histograms with buckets,
//! which unlike quantiles can be added up over instances: `grafana.json` counts on both.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

/// In seconds: from what SQLite needs for a scope to what an operator waits for.
const BUCKETS: [f64; 18] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];
const ATTEMPTS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0];

/// The recorder of this process, installed at the first call: before any `Db` is made.
pub(crate) fn install() -> Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let recorder = build()?;
    let made = recorder.handle();
    metrics::set_global_recorder(recorder).context("install the recorder")?;
    Ok(handle.insert(made).clone())
}

fn build() -> Result<PrometheusRecorder> {
    let attempts = Matcher::Full("txn.scope.attempts".into());
    Ok(PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets(&BUCKETS)?
        .set_buckets_for_metric(attempts, &ATTEMPTS)?
        .build_recorder())
}
