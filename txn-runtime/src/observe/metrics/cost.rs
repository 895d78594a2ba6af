//! What a scope pays for its figures, a call at a time as the runtime makes them.
//!
//! `cargo test --release -p txn-runtime --features metrics -- --ignored --nocapture cost`

use std::hint::black_box;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_util::debugging::DebuggingRecorder;
use sqlx::Sqlite;

use crate::model::labels::{ScopeKind, ScopeOutcome, ScopePhase};
use crate::model::options::Options;
use crate::observe::events::{Event, Events};
use crate::observe::kept::Timestamp;
use crate::observe::tracker::SessionTracker;

const SCOPES: u32 = 10_000;
const ROUNDS: usize = 101;

static OPTIONS: Options = Options::new("bank.transfer");

/// A scope that commits, on a session out of the pool.
fn scope(events: &Events, session: &mut SessionTracker, until: tokio::time::Instant) {
    let mut timer = events.scope(black_box(&OPTIONS), ScopeKind::Root);
    session.taken();
    let (taken, limit) = (session.taken_at(), Duration::ZERO);
    events.tell(Event::Served {
        taken,
        limit,
        until,
    });
    events.tell(Event::BeginAnswered { sent: taken });
    let (sent, answered) = (Timestamp::now(), Timestamp::now());
    events.tell(Event::CommitAnswered { sent, answered });
    // The runtime looks at the clock here in any case.
    session.returned(answered.instant());
    timer.ended(ScopeOutcome::Committed, ScopePhase::End, Some(answered));
}

/// Nanoseconds for one, in the median of all rounds.
fn cost(mut between: impl FnMut()) -> f64 {
    let options = "sqlite::memory:".parse().unwrap();
    let events = Events::new::<Sqlite>(Some("bank".into()), &options, 10);
    let mut session = events.opened(Timestamp::now());
    let until = tokio::time::Instant::now();
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            between();
            let begun = Instant::now();
            (0..SCOPES).for_each(|_| scope(&events, &mut session, until));
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
