//! Before the faults and after them: the same load with nobody dropped, and how soon it is carried
//! as before.
//!
//! The load after the faults begins before they have ended, so that callers are waiting, failing
//! and refused when they do. Nobody helps: it is the same handle all along.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use txn_chaos::{FaultyServer, Journal, Limits, Outcome, Record, Scenario, Subject};

use crate::faults::Counts;
use crate::settings::Settings;

/// The first sessions are opened, and caches filled.
const WARM_UP: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_millis(250);
/// So many windows are a phase, of 2 s.
const PHASE: usize = 8;
/// Generous: a server that has crashed repeats its log first, and the machine may have other things
/// to do.
pub(crate) const BOUND: Duration = Duration::from_secs(30);
/// This share of the throughput before is as good as all of it.
const FULL: f64 = 0.8;
/// With less than this the service has not come back.
const ENOUGH: f64 = 0.5;
/// Who has failed does not ask again at once.
const PAUSE: Duration = Duration::from_millis(20);

/// The throughput before the faults, to compare that after them with.
pub(crate) struct Recovery {
    /// In scopes per second that did what they were to do.
    before: f64,
    journal: Arc<Journal>,
}

/// What came back after the faults.
pub(crate) struct Returned {
    pub(crate) before: f64,
    pub(crate) after: f64,
    /// From the end of the faults to that of the first window with full throughput.
    pub(crate) within: Option<Duration>,
    /// All scopes of the load before and after.
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

    /// Until a whole phase after the faults had full throughput, or it takes too long. The load is
    /// there when they end.
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

    /// A service that did nothing before has nothing to come back to, and is none.
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

/// Callers who ask for one transfer after the other.
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
    /// What it does is checked as the rest of the storm is: the journal has it.
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

    /// In one window.
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
        // Below zero, so that a storm does the same with and without this.
        let scenario = Scenario::undisturbed(-journal.next_id(), limits);
        match journal.run(&subject, scenario).await {
            Outcome::Ok(_) => _ = state.served.fetch_add(1, Ordering::Relaxed),
            _ => sleep(PAUSE).await,
        }
    }
}
