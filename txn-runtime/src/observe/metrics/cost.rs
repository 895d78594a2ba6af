//! What a scope pays for its figures, a call at a time as the runtime makes them.
//!
//! `cargo test --release -p txn-runtime --features metrics -- --ignored --nocapture cost`

use std::hint::black_box;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_util::debugging::DebuggingRecorder;
use sqlx::Sqlite;

use super::{Meter, SessionTracker, Timestamp};
use crate::model::labels::{ScopeKind, ScopeOutcome, ScopePhase};

const SCOPES: u32 = 10_000;
const ROUNDS: usize = 101;

/// A scope that commits, on a session out of the pool.
fn scope(meter: &Meter, session: &mut SessionTracker, until: tokio::time::Instant) {
    let mut timer = meter.scope(black_box("bank.transfer"), ScopeKind::Root, false);
    session.taken();
    meter.waited(Duration::ZERO, until, Ok(session.taken_at()));
    meter.begun(session.taken_at());
    let (sent, answered) = (Timestamp::now(), Timestamp::now());
    meter.committed(sent, answered);
    // The runtime looks at the clock here in any case.
    session.returned(answered.0);
    timer.ended(ScopeOutcome::Committed, ScopePhase::End, Some(answered));
}

/// Nanoseconds for one, in the median of all rounds.
fn cost(mut between: impl FnMut()) -> f64 {
    let options = "sqlite::memory:".parse().unwrap();
    let meter = Meter::new::<Sqlite>(Some("bank".into()), &options, 10);
    let mut session = meter.opening().opened();
    let until = tokio::time::Instant::now();
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            between();
            let begun = Instant::now();
            (0..SCOPES).for_each(|_| scope(&meter, &mut session, until));
            begun.elapsed().as_secs_f64() * 1e9 / f64::from(SCOPES)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

#[test]
#[ignore = "it asserts nothing: it measures"]
fn cost_of_the_figures_of_a_scope() {
    println!("no recorder: {:.0} ns", cost(|| ()));
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let listening = ::metrics::set_default_local_recorder(&recorder);
    println!("in memory: {:.0} ns", cost(|| drop(snapshots.snapshot())));
    drop(listening);
    // It looks at the clock for each histogram.
    let recorder = PrometheusBuilder::new().build_recorder();
    let exporter = recorder.handle();
    let _listening = ::metrics::set_default_local_recorder(&recorder);
    println!("Prometheus: {:.0} ns", cost(|| exporter.run_upkeep()));
}
