//! Workers that make one transfer after the other. Their number, and whether a storm is on, can be
//! changed while they work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use txn_chaos::{Delay, Interruption, Limits, Outcome, Phase, Scenario, Shape};

use crate::bank::{ACCOUNTS, Bank};

pub(crate) const MAX_WORKERS: usize = 400;
const BETWEEN_REPORTS: Duration = Duration::from_millis(600);

pub(crate) struct Load {
    bank: Arc<dyn Bank>,
    /// The number of workers. Worker `n` works while this is more than `n`.
    workers: watch::Sender<usize>,
    storm: AtomicBool,
    next: AtomicI64,
    /// The number of transfers that were reported as committed.
    acknowledged: AtomicI64,
    tasks: Mutex<JoinSet<()>>,
}

impl Load {
    pub(crate) async fn start(bank: Arc<dyn Bank>, workers: usize, storm: bool) -> Arc<Self> {
        let load = Arc::new(Self {
            bank,
            workers: watch::Sender::new(workers),
            storm: AtomicBool::new(storm),
            next: AtomicI64::new(1),
            acknowledged: AtomicI64::new(0),
            tasks: Mutex::default(),
        });
        let mut tasks = load.tasks.lock().await;
        for number in 0..MAX_WORKERS {
            tasks.spawn(Arc::clone(&load).work(number));
        }
        tasks.spawn(Arc::clone(&load).report());
        drop(tasks);
        load
    }

    pub(crate) fn workers(&self) -> usize {
        *self.workers.borrow()
    }

    pub(crate) fn set_workers(&self, workers: usize) {
        self.workers.send_replace(workers.min(MAX_WORKERS));
    }

    pub(crate) fn storms(&self) -> bool {
        self.storm.load(Ordering::Relaxed)
    }

    pub(crate) fn set_storm(&self, storm: bool) {
        self.storm.store(storm, Ordering::Relaxed);
    }

    pub(crate) fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Stops all workers, and drops their open transfers.
    pub(crate) async fn stop(&self) {
        self.set_workers(0);
        self.tasks.lock().await.shutdown().await;
    }

    async fn wanted(&self, number: usize) {
        let mut workers = self.workers.subscribe();
        // This cannot fail, because `self` owns the sender.
        workers.wait_for(|workers| *workers > number).await.ok();
    }

    async fn work(self: Arc<Self>, number: usize) {
        loop {
            self.wanted(number).await;
            self.transfer().await;
            let pause = rand::rng().random_range(4..36);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn transfer(&self) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let outcome = self.bank.transfer(scenario(id, self.storms())).await;
        if matches!(outcome, Outcome::Ok(_)) {
            self.acknowledged.fetch_add(1, Ordering::Release);
        }
    }

    async fn report(self: Arc<Self>) {
        loop {
            self.wanted(0).await;
            // A failure is in the figures, like that of every other scope.
            self.bank.report().await.ok();
            sleep(BETWEEN_REPORTS).await;
        }
    }
}

/// Draws a scenario. In a storm, half of the transfers are dropped.
fn scenario(id: i64, storm: bool) -> Scenario {
    let mut rng = rand::rng();
    let limits = Limits {
        seed: rng.random(),
        accounts: ACCOUNTS,
        second_writer: false,
        slow_queries: false,
    };
    let phases = [Phase::Acquire, Phase::Body, Phase::Commit];
    Scenario {
        cents: rng.random_range(1..=500),
        shape: match rng.random_range(0..10) {
            0..3 => Shape::Nested(None),
            3 => Shape::NestedFailure,
            _ => Shape::Joined,
        },
        interruption: match rng.random_range(0..6) {
            _ if !storm => Interruption::None,
            0 => Interruption::Timeout(Duration::from_millis(rng.random_range(1..10))),
            1 => Interruption::Abort(delay()),
            2 => Interruption::Select(delay()),
            _ => Interruption::None,
        },
        from: phases[rng.random_range(0..phases.len())],
        thinks: rng.random_bool(0.2),
        disorderly: rng.random_bool(0.02),
        ..Scenario::undisturbed(id, limits)
    }
}

fn delay() -> Delay {
    let mut rng = rand::rng();
    match rng.random_bool(0.3) {
        true => Delay::Time(Duration::from_millis(rng.random_range(1..6))),
        false => Delay::Yields(rng.random_range(0..200)),
    }
}
