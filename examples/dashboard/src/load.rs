//! Workers that make one transfer after the other; how many, and whether it storms, is set while they work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bank::Bank;
use crate::order::Order;
use crate::strike::{Ending, strike};

/// Workers.
pub(crate) const MOST: usize = 400;
const BETWEEN_REPORTS: Duration = Duration::from_millis(600);

pub(crate) struct Load {
    bank: Arc<dyn Bank>,
    /// Worker n works while there are more than n.
    workers: watch::Sender<usize>,
    storm: AtomicBool,
    next: AtomicI64,
    /// Transfers that their callers know to be committed.
    told: AtomicI64,
    tasks: Mutex<JoinSet<()>>,
}

impl Load {
    pub(crate) async fn start(bank: Arc<dyn Bank>, workers: usize, storm: bool) -> Arc<Self> {
        let load = Arc::new(Self {
            bank,
            workers: watch::Sender::new(workers),
            storm: AtomicBool::new(storm),
            next: AtomicI64::new(1),
            told: AtomicI64::new(0),
            tasks: Mutex::default(),
        });
        let mut tasks = load.tasks.lock().await;
        for number in 0..MOST {
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
        self.workers.send_replace(workers.min(MOST));
    }

    pub(crate) fn storms(&self) -> bool {
        self.storm.load(Ordering::Relaxed)
    }

    pub(crate) fn set_storm(&self, storm: bool) {
        self.storm.store(storm, Ordering::Relaxed);
    }

    pub(crate) fn told(&self) -> i64 {
        self.told.load(Ordering::Acquire)
    }

    /// Nobody begins anything more, and what is under way is dropped.
    pub(crate) async fn stop(&self) {
        self.set_workers(0);
        self.tasks.lock().await.shutdown().await;
    }

    async fn wanted(&self, number: usize) {
        let mut workers = self.workers.subscribe();
        // Its sender is ours, so that it does not fail.
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
        let order = Order::draw(self.next.fetch_add(1, Ordering::Relaxed));
        let ending = Ending::draw(self.storms());
        if let Some(Ok(())) = strike(Arc::clone(&self.bank), order, ending).await {
            self.told.fetch_add(1, Ordering::Release);
        }
    }

    async fn report(self: Arc<Self>) {
        loop {
            self.wanted(0).await;
            // One that fails is in the figures, like every other scope.
            self.bank.report().await.ok();
            sleep(BETWEEN_REPORTS).await;
        }
    }
}
