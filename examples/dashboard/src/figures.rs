//! The changes between two readings of the metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::exposition::Exposition;

/// The figures of a frame: rates per second by label, and times in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    scopes: BTreeMap<String, f64>,
    drops: BTreeMap<String, f64>,
    rollbacks: BTreeMap<String, f64>,
    refused: BTreeMap<String, f64>,
    settled: BTreeMap<String, f64>,
    retries: f64,
    waited: Option<Percentiles>,
    scope: Option<Percentiles>,
    commit: Option<Percentiles>,
    settle: Option<Percentiles>,
    utilization: f64,
    /// The total since the start, not a rate.
    dropped: f64,
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
}

const SCOPE: &str = "txn_scope_duration_seconds";
const SETTLE: &str = "txn_settle_duration_seconds";

impl Figures {
    pub(crate) fn between(before: &Exposition, now: &Exposition, time: Duration) -> Self {
        let since = Since { before, now, time };
        let count = format!("{SCOPE}_count");
        let dropped = [before, now].map(|text| text.only("txn_outcome", "dropped"));
        let drops = Since {
            before: &dropped[0],
            now: &dropped[1],
            time,
        };
        Self {
            scopes: since.rates(&count, "txn_outcome"),
            drops: drops.rates(&count, "txn_phase"),
            rollbacks: since.rates("txn_rollbacks_total", "txn_cause"),
            refused: since.refused(),
            settled: since.rates(&format!("{SETTLE}_count"), "txn_end"),
            retries: since.rate("txn_retries_total"),
            waited: since.percentiles("db_client_connection_wait_time_seconds"),
            scope: since.percentiles(SCOPE),
            commit: since.percentiles("txn_commit_duration_seconds"),
            settle: since.percentiles(SETTLE),
            utilization: now.total("txn_sessions_utilization"),
            dropped: drops.now.total(&count),
        }
    }
}

struct Since<'t> {
    before: &'t Exposition,
    now: &'t Exposition,
    time: Duration,
}

impl Since<'_> {
    fn rate(&self, name: &str) -> f64 {
        (self.now.total(name) - self.before.total(name)) / self.time.as_secs_f64()
    }

    /// Returns the rates by label, without those that are 0.
    fn rates(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let before = self.before.by(name, label);
        let now = self.now.by(name, label).into_iter();
        let rates = now.map(|(value, count)| {
            let more = count - before.get(&value).copied().unwrap_or_default();
            (value, more / self.time.as_secs_f64())
        });
        rates.filter(|(_, rate)| *rate > 0.0).collect()
    }

    fn refused(&self) -> BTreeMap<String, f64> {
        let mut refused = self.rates("txn_callers_refused_total", "txn_reason");
        let in_vain = self.rate("db_client_connection_timeouts_total");
        if in_vain > 0.0 {
            refused.insert("timed_out".into(), in_vain);
        }
        refused
    }

    fn percentiles(&self, name: &str) -> Option<Percentiles> {
        let before = self.before.buckets(name);
        let mut buckets = self.now.buckets(name);
        for (bucket, (_, before)) in buckets.iter_mut().zip(before) {
            bucket.1 -= before;
        }
        Some(Percentiles {
            p50: quantile(&buckets, 0.5)? * 1_000.0,
            p99: quantile(&buckets, 0.99)? * 1_000.0,
        })
    }
}

/// Estimates a quantile as Prometheus' `histogram_quantile` does, by linear interpolation within a
/// bucket, and at most the last finite bound.
fn quantile(buckets: &[(f64, f64)], q: f64) -> Option<f64> {
    let count = buckets.last().map(|(_, count)| *count)?;
    if count <= 0.0 {
        return None;
    }
    let rank = q * count;
    let at = buckets.iter().position(|(_, below)| *below >= rank)?;
    let (lower, less) = at.checked_sub(1).map_or((0.0, 0.0), |at| buckets[at]);
    let (upper, below) = buckets[at];
    match upper.is_finite() {
        true => Some(lower + (upper - lower) * (rank - less) / (below - less)),
        false => Some(lower),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKETS: [(f64, f64); 3] = [(1.0, 2.0), (2.0, 8.0), (f64::INFINITY, 10.0)];

    #[test]
    fn a_quantile_lies_evenly_within_its_bucket() {
        assert_eq!(quantile(&BUCKETS, 0.1), Some(0.5));
        assert_eq!(quantile(&BUCKETS, 0.5), Some(1.5));
        assert_eq!(quantile(&BUCKETS, 0.99), Some(2.0));
    }

    #[test]
    fn what_did_not_happen_has_no_quantile() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[(1.0, 0.0), (f64::INFINITY, 0.0)], 0.5), None);
    }
}
