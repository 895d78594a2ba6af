//! Before the faults and after them: the same load with nobody dropped, and how soon it is carried as before.
//!
//! The load after the faults begins before they have ended, so that callers are waiting, failing and refused when they do. Nobody
//! helps: it is the same handle all along.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Settings;
use crate::journal::Journal;
use crate::order::{Order, Range};
use crate::record::{Outcome, Record};
use crate::strike::strike;
use crate::subject::Subject;

/// The first sessions are opened, and caches filled.
const WARM_UP: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_millis(250);
/// So many windows are a phase, of 2 s.
const PHASE: usize = 8;
/// Generous: a server that has crashed repeats its log first, and the machine may have other things to do.
pub(crate) const BOUND: Duration = Duration::from_secs(30);
/// This share of the throughput before is as good as all of it.
const FULL: f64 = 0.8;
/// With less than this the service has not come back.
const ENOUGH: f64 = 0.5;
/// Who has failed does not ask again at once.
const PAUSE: Duration = Duration::from_millis(20);

/// Scopes per second that did what they were to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calm {
    pub(crate) before: f64,
    pub(crate) after: f64,
    /// From the end of the faults to that of the first window with full throughput.
    pub(crate) back_within: Option<Duration>,
}

impl Calm {
    /// From the end of the faults, until a whole phase had full throughput or it takes too long.
    pub(crate) async fn return_of(load: Load, before: f64) -> Self {
        let begun = Instant::now();
        let (mut windows, mut back_within) = (Vec::new(), None);
        loop {
            windows.push(load.window().await);
            if back_within.is_none() && mean(last(&windows, 1)) >= FULL * before {
                back_within = Some(begun.elapsed());
            }
            let after = mean(last(&windows, PHASE));
            let is_full = windows.len() >= PHASE && after >= FULL * before;
            if is_full || begun.elapsed() >= BOUND {
                load.end().await;
                return Self {
                    before,
                    after,
                    back_within,
                };
            }
        }
    }

    pub(crate) fn share(&self) -> f64 {
        self.after / self.before
    }

    /// A service that did nothing before has nothing to come back to, and is none.
    pub(crate) fn is_back(&self) -> bool {
        self.share() >= ENOUGH
    }
}

/// The throughput before anything happens.
pub(crate) async fn throughput(load: Load) -> f64 {
    sleep(WARM_UP).await;
    let mut windows = Vec::new();
    for _ in 0..PHASE {
        windows.push(load.window().await);
    }
    load.end().await;
    mean(&windows)
}

fn last(windows: &[f64], count: usize) -> &[f64] {
    &windows[windows.len().saturating_sub(count)..]
}

fn mean(windows: &[f64]) -> f64 {
    windows.iter().sum::<f64>() / windows.len() as f64
}

/// Callers who ask for one transfer after the other.
pub(crate) struct Load {
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
    pub(crate) fn on(subject: &impl Subject, journal: &Arc<Journal>, settings: &Settings) -> Self {
        let range = Range {
            seed: settings.seed,
            accounts: settings.accounts,
            second_writer: false,
            slow: false,
        };
        let state = Arc::new(State::default());
        let mut callers = JoinSet::new();
        for _ in 0..settings.tasks {
            let (journal, state) = (Arc::clone(journal), Arc::clone(&state));
            callers.spawn(call(subject.clone(), journal, range, state));
        }
        Self { callers, state }
    }

    /// The throughput of one window.
    async fn window(&self) -> f64 {
        let served = || self.state.served.load(Ordering::Relaxed);
        let (before, since) = (served(), Instant::now());
        sleep(WINDOW).await;
        (served() - before) as f64 / since.elapsed().as_secs_f64()
    }

    async fn end(self) {
        self.state.over.store(true, Ordering::Relaxed);
        self.callers.join_all().await;
    }
}

async fn call<S: Subject>(subject: S, journal: Arc<Journal>, range: Range, state: Arc<State>) {
    while !state.over.load(Ordering::Relaxed) {
        // Below zero, so that a storm does the same with and without this.
        let order = Order::undisturbed(-journal.next(), range);
        let record = Arc::new(Record::new(order));
        strike(subject.clone(), &record).await;
        let is_ok = matches!(record.outcome(), Outcome::Ok(_));
        journal.add(record);
        match is_ok {
            true => _ = state.served.fetch_add(1, Ordering::Relaxed),
            false => sleep(PAUSE).await,
        }
    }
}
