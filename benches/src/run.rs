//! One run of one peer. It has its own runtime, sessions and tasks, a warm-up, and a window in
//! which it is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cpu_time::ProcessTime;
use fastrand::Rng;
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use crate::admin::Admin;
use crate::busy::is_busy;
use crate::peer::Peer;
use crate::place::{Engine, Place, Size};
use crate::with_workload;
use crate::workloads::{Done, Kind, Workload};

/// The parameters of a run.
#[derive(Clone)]
pub struct Order {
    pub place: Place,
    /// The same database without a proxy in between.
    pub direct: Place,
    pub size: Size,
    pub warm_up: Duration,
    pub window: Duration,
}

/// The results of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// Transactions that finished in the window.
    pub finished: u64,
    pub per_second: f64,
    /// Microseconds.
    pub p50: f64,
    pub p99: f64,
    pub worst: f64,
    /// Processor time of this process per transaction, user and system, in microseconds.
    pub cpu: Option<f64>,
    pub round_trips: Option<f64>,
    /// Transactions that the workload dropped.
    pub dropped: u64,
    /// Transactions that were refused because the database was busy.
    pub busy: u64,
    /// Transactions that were reported as committed, but are missing.
    pub missing: i64,
    /// Tasks that waited forever.
    pub stuck: usize,
    /// Transactions of the task that had the fewest.
    pub fewest: u64,
    /// The share of the machine that others took.
    pub foreign: f64,
    /// Latencies in microseconds, each with the share of transactions that took no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub distribution: Vec<(u64, f64)>,
}

/// Called at the beginning and at the end of the window.
pub trait Gauge {
    fn begin(&mut self) -> Result<()>;
    fn end(&mut self) -> Result<()>;
}

/// Runs the workload `W` on the peer `P`.
pub fn run<P: Peer, W: Workload>(order: &Order, gauge: &mut dyn Gauge) -> Result<Sample> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let sample = runtime.block_on(measure::<P, W>(order, gauge));
    // Work that a peer still does in the background must not overlap with the next peer's window.
    runtime.shutdown_timeout(Duration::from_secs(10));
    sample
}

async fn measure<P: Peer, W: Workload>(order: &Order, gauge: &mut dyn Gauge) -> Result<Sample> {
    let mut admin = Admin::connect(&order.direct).await?;
    let before = admin.before_run().await?;
    let mut peers = P::open(&order.place, order.size).await.context("open")?;
    prime(&mut peers).await?;
    let phase = Arc::new(AtomicU8::new(WARM_UP));
    let mut tasks = JoinSet::new();
    for (seed, peer) in (0..).zip(peers) {
        let allow_busy = order.place.engine == Engine::Sqlite;
        let task = Task::new(Arc::clone(&phase), seed, allow_busy);
        tasks.spawn(task.run::<P, W>(peer));
    }
    watch(order.warm_up, &mut tasks).await?;
    gauge.begin()?;
    let cpu = ProcessTime::now();
    let begun = Instant::now();
    phase.store(WINDOW, Ordering::Relaxed);
    watch(order.window, &mut tasks).await?;
    phase.store(OVER, Ordering::Relaxed);
    let elapsed = begun.elapsed();
    let cpu = cpu.elapsed();
    gauge.end()?;
    let mut counts = Counts::default();
    let (ended, stuck) = drain(&mut tasks, &mut counts).await?;
    ensure!(
        stuck == 0 || W::DROPS,
        "{stuck} of {} tasks do not come to an end",
        ended + stuck
    );
    let mut sample = counts.sample(elapsed, cpu);
    sample.stuck = stuck;
    sample.missing = admin
        .missing(before, W::EFFECT, counts.all, counts.all_dropped)
        .await?;
    Ok(sample)
}

/// Uses all peers at once, so that every session is open. A workload that drops early would not
/// wait for that.
async fn prime<P: Peer>(peers: &mut [P]) -> Result<()> {
    let touches = peers.iter_mut().take(100).map(|peer| peer.touch(1));
    try_join_all(touches).await.context("first use")?;
    Ok(())
}

/// Waits for `time`. A task that ends before has failed.
async fn watch(time: Duration, tasks: &mut JoinSet<Result<Counts>>) -> Result<()> {
    let Ok(ended) = timeout(time, tasks.join_next()).await else {
        return Ok(());
    };
    ended.context("no task is left")???;
    bail!("a task ended before its time")
}

/// Waits for all tasks, but not forever: if sessions were returned to the pool inside of
/// transactions, a task may wait for locks of a session that nobody uses any more.
async fn drain(tasks: &mut JoinSet<Result<Counts>>, counts: &mut Counts) -> Result<(usize, usize)> {
    const PATIENCE: Duration = Duration::from_secs(15);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut ended = 0;
    while let Ok(Some(task)) = timeout_at(deadline, tasks.join_next()).await {
        counts.add(task??)?;
        ended += 1;
    }
    let stuck = tasks.len();
    tasks.shutdown().await;
    Ok((ended, stuck))
}

const WARM_UP: u8 = 0;
const WINDOW: u8 = 1;
const OVER: u8 = 2;

struct Task {
    phase: Arc<AtomicU8>,
    rng: Rng,
    allow_busy: bool,
}

impl Task {
    fn new(phase: Arc<AtomicU8>, seed: u64, allow_busy: bool) -> Self {
        Self {
            phase,
            rng: Rng::with_seed(seed),
            allow_busy,
        }
    }

    async fn run<P: Peer, W: Workload>(mut self, mut peer: P) -> Result<Counts> {
        let mut counts = Counts::default();
        loop {
            let begun = Instant::now();
            let done = W::once(&mut peer, &mut self.rng).await;
            let took = begun.elapsed();
            let phase = self.phase.load(Ordering::Relaxed);
            match done {
                Ok(done) => counts.note(done, took, phase == WINDOW),
                Err(error) if self.allow_busy && is_busy(&error) => {
                    counts.busy += u64::from(phase == WINDOW);
                }
                Err(error) => return Err(error),
            }
            if phase == OVER {
                return Ok(counts);
            }
        }
    }
}

#[derive(Default)]
struct Counts {
    /// Latencies in nanoseconds of the transactions that finished in the window.
    latencies: Vec<u64>,
    /// Transactions that were dropped, or refused as busy, in the window.
    dropped: u64,
    busy: u64,
    /// All transactions, including those outside of the window.
    all: i64,
    all_dropped: i64,
    fewest: Option<u64>,
}

impl Counts {
    fn note(&mut self, done: Done, took: Duration, in_window: bool) {
        match done {
            Done::Finished => {
                self.all += 1;
                if in_window {
                    self.latencies.push(nanos(took));
                }
            }
            Done::Dropped => {
                self.all_dropped += 1;
                self.dropped += u64::from(in_window);
            }
        }
    }

    fn add(&mut self, mut other: Self) -> Result<()> {
        let count = u64::try_from(other.latencies.len())?;
        self.fewest = Some(self.fewest.map_or(count, |fewest| fewest.min(count)));
        self.latencies.append(&mut other.latencies);
        self.dropped += other.dropped;
        self.busy += other.busy;
        self.all += other.all;
        self.all_dropped += other.all_dropped;
        Ok(())
    }

    fn sample(&self, elapsed: Duration, cpu: Duration) -> Sample {
        let mut histogram = Histogram::<u64>::new(3).expect("3 digits are fine");
        for &latency in &self.latencies {
            histogram.record(latency).expect("it grows");
        }
        let finished = histogram.len();
        let micros = |nanos: u64| nanos as f64 / 1e3;
        Sample {
            finished,
            per_second: finished as f64 / elapsed.as_secs_f64(),
            p50: micros(histogram.value_at_quantile(0.5)),
            p99: micros(histogram.value_at_quantile(0.99)),
            worst: micros(histogram.max()),
            cpu: Some(cpu.as_secs_f64() * 1e6 / finished.max(1) as f64),
            dropped: self.dropped,
            busy: self.busy,
            fewest: self.fewest.unwrap_or(0),
            distribution: distribution(&histogram),
            ..Sample::default()
        }
    }
}

/// Returns the distribution, with a point for every half of what is left.
pub fn distribution(histogram: &Histogram<u64>) -> Vec<(u64, f64)> {
    histogram
        .iter_quantiles(1)
        .map(|step| (step.value_iterated_to() / 1000, step.quantile_iterated_to()))
        .collect()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Runs a workload `times` times in one thread, and nothing else, so that it can be counted.
pub fn repeat<P: Peer>(kind: Kind, place: &Place, size: Size, times: u64) -> Result<()> {
    with_workload!(kind, repeat_one::<P>(place, size, times))
}

fn repeat_one<P: Peer, W: Workload>(place: &Place, size: Size, times: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for mut peer in P::open(place, size).await? {
            tasks.spawn(async move {
                let mut rng = Rng::with_seed(1);
                for _ in 0..times {
                    W::once(&mut peer, &mut rng).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    })
}
