//! Measures the same load without drops before and after the faults, and how soon its throughput
//! recovers.
//!
//! The load after the faults begins before they have ended, so that callers are waiting, failing
//! and refused when they do. It uses the same handle all along, and nothing resets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use txn_chaos::{FaultyServer, Journal, Limits, Outcome, Record, Scenario, Subject};

use crate::faults::Counts;
use crate::settings::Settings;

/// The time for opening the first sessions and filling caches.
const WARM_UP: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_millis(250);
/// The number of windows in a phase, which is 2 s.
const PHASE: usize = 8;
/// The longest time for the recovery. It is generous, because a crashed server replays its log
/// first, and the machine may be busy.
pub(crate) const BOUND: Duration = Duration::from_secs(30);
/// The share of the throughput before that counts as full throughput.
const FULL: f64 = 0.8;
/// The share below which the service has not recovered.
const ENOUGH: f64 = 0.5;
/// The pause of a caller after a failure.
const PAUSE: Duration = Duration::from_millis(20);

/// The throughput before the faults, with which that after them is compared.
pub(crate) struct Recovery {
    /// The number of successful scopes per second.
    before: f64,
    journal: Arc<Journal>,
}

/// The recovery after the faults.
pub(crate) struct Returned {
    pub(crate) before: f64,
    pub(crate) after: f64,
    /// The time from the end of the faults to the end of the first window with full throughput.
    pub(crate) within: Option<Duration>,
    /// The records of all scopes before and after the faults.
    pub(crate) records: Vec<Arc<Record>>,
}

impl Recovery {
    pub(crate) async fn before_faults(subject: &impl Subject, settings: &Settings) -> Self {
        let journal = Arc::default();
        let load = Load::start(subject, &journal, settings);
        sleep(WARM_UP).await;
        let mut windows = Vec::new();
        for _ in 0..PHASE {
            windows.push(load.throughput().await);
        }
        load.stop().await;
        Self {
            before: mean(&windows),
            journal,
        }
    }

    /// Runs the load until a whole phase after the faults had full throughput, or until it takes
    /// too long. The load begins before the faults end.
    pub(crate) async fn after(
        self,
        faults: JoinHandle<Result<(Counts, FaultyServer)>>,
        subject: &impl Subject,
        settings: &Settings,
    ) -> Result<(Counts, FaultyServer, Returned)> {
        let load = Load::start(subject, &self.journal, settings);
        let (counts, server) = faults.await??;
        let ended = Instant::now();
        let (mut windows, mut within) = (Vec::new(), None);
        let is_full = |throughput| throughput >= FULL * self.before;
        let after = loop {
            windows.push(load.throughput().await);
            if within.is_none() && is_full(mean(last(&windows, 1))) {
                within = Some(ended.elapsed());
            }
            let after = mean(last(&windows, PHASE));
            if windows.len() >= PHASE && is_full(after) || ended.elapsed() >= BOUND {
                break after;
            }
        };
        load.stop().await;
        let returned = Returned {
            before: self.before,
            after,
            within,
            records: self.journal.take(),
        };
        Ok((counts, server, returned))
    }
}

impl Returned {
    pub(crate) fn share(&self) -> f64 {
        self.after / self.before
    }

    /// Returns whether the service has recovered. If it did nothing before, it has not.
    pub(crate) fn is_enough(&self) -> bool {
        self.share() >= ENOUGH
    }
}

fn last(windows: &[f64], count: usize) -> &[f64] {
    &windows[windows.len().saturating_sub(count)..]
}

fn mean(windows: &[f64]) -> f64 {
    windows.iter().sum::<f64>() / windows.len() as f64
}

/// Callers that make one transfer after the other.
struct Load {
    callers: JoinSet<()>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    served: AtomicU64,
    over: AtomicBool,
}

impl Load {
    /// Starts the callers. Their scopes are in the journal, so they are checked like the rest of
    /// the storm.
    fn start(subject: &impl Subject, journal: &Arc<Journal>, settings: &Settings) -> Self {
        let state = Arc::new(State::default());
        let mut callers = JoinSet::new();
        for _ in 0..settings.tasks {
            let (journal, state) = (Arc::clone(journal), Arc::clone(&state));
            let limits = settings.limits(false);
            callers.spawn(call(subject.clone(), journal, limits, state));
        }
        Self { callers, state }
    }

    /// Returns the throughput of one window.
    async fn throughput(&self) -> f64 {
        let served = || self.state.served.load(Ordering::Relaxed);
        let (before, since) = (served(), Instant::now());
        sleep(WINDOW).await;
        (served() - before) as f64 / since.elapsed().as_secs_f64()
    }

    async fn stop(self) {
        self.state.over.store(true, Ordering::Relaxed);
        self.callers.join_all().await;
    }
}

async fn call<S: Subject>(subject: S, journal: Arc<Journal>, limits: Limits, state: Arc<State>) {
    while !state.over.load(Ordering::Relaxed) {
        // The ids are negative, so that the storm draws the same scenarios with and without this
        // load.
        let scenario = Scenario::undisturbed(-journal.next_id(), limits);
        match journal.run(&subject, scenario).await {
            Outcome::Ok(_) => _ = state.served.fetch_add(1, Ordering::Relaxed),
            _ => sleep(PAUSE).await,
        }
    }
}
