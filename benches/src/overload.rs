//! What early refusal does under overload: how many answers are of use, by how many are asked for.
//!
//! Requests come in at a fixed rate, whether or not the earlier ones were answered. Each runs a
//! scope that keeps its session busy for [`WORK`]. Its caller gives up after [`PATIENCE`], and
//! drops it. An answer that comes before that is of use.
//!
//! The work is a sleep on the server, so the capacity is the same on every machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;
use txn::{Db, Error, Postgres, Tx, transactional};

use crate::ground::Ground;
use crate::place::Engine;
use crate::plan::Way;

/// How long a request keeps its session busy.
const WORK: Duration = Duration::from_millis(20);
const SLEEP: &str = "SELECT pg_sleep(0.02)";
const SESSIONS: usize = 8;
/// How long a caller waits for its answer.
const PATIENCE: Duration = Duration::from_millis(250);
const TARGET: Duration = Duration::from_millis(50);
/// What is asked for, as a multiple of the capacity.
const LOADS: [f64; 7] = [0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0];
/// The time before the measurement: that in which early refusal notices an overload, and more.
const WARM_UP: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(6);

/// What became of the requests at one load, each as a multiple of the capacity.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Outcome {
    pub load: f64,
    /// They were answered in time.
    pub useful: f64,
    /// They were refused early.
    pub refused: f64,
}

/// The outcomes without early refusal, and with it.
#[derive(Clone, Debug, Serialize)]
pub struct Curves {
    pub off: Vec<Outcome>,
    pub on: Vec<Outcome>,
}

/// Measures both curves, and prints them.
pub fn run(ground: &mut Ground) -> Result<Curves> {
    let url = ground.spot(Engine::Postgres, Way::Socket)?.place.url;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let mut curves = Curves {
        off: Vec::new(),
        on: Vec::new(),
    };
    println!("\nOverload: answers of use, as parts of the capacity");
    println!("  asked for | without early refusal | with it (refused)");
    for load in LOADS {
        let off = runtime.block_on(at(&url, load, None))?;
        let on = runtime.block_on(at(&url, load, Some(TARGET)))?;
        let (refused, on_useful) = (on.refused, on.useful);
        println!(
            "  {load:9.1} | {:21.2} | {on_useful:.2} ({refused:.2})",
            off.useful
        );
        curves.off.push(off);
        curves.on.push(on);
    }
    Ok(curves)
}

#[transactional]
async fn work(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    sqlx::query(SLEEP).execute(tx).await?;
    Ok(())
}

/// Counts since the measurement began.
#[derive(Default)]
struct Counts {
    useful: AtomicU32,
    refused: AtomicU32,
}

async fn request(db: Db<Postgres>, counts: Arc<Counts>) {
    match timeout(PATIENCE, work(&db)).await {
        Ok(Ok(())) => _ = counts.useful.fetch_add(1, Ordering::Relaxed),
        Ok(Err(error)) if error.is_overloaded() => {
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        // It failed, or nobody waits for it any more.
        _ => {}
    }
}

async fn at(url: &str, load: f64, target: Option<Duration>) -> Result<Outcome> {
    let builder = Db::<Postgres>::builder(url.parse().context("the URL")?);
    let db = builder
        .max_sessions(SESSIONS)
        .queue_target(target)
        .connect()
        .await?;
    let capacity = SESSIONS as f64 / WORK.as_secs_f64();
    let mut arrivals = interval(Duration::from_secs_f64(1.0 / (capacity * load)));
    arrivals.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let requests = TaskTracker::new();
    let mut counts = Arc::new(Counts::default());
    for span in [WARM_UP, WINDOW] {
        counts = Arc::default();
        let ends = tokio::time::Instant::now() + span;
        while arrivals.tick().await < ends {
            requests.spawn(request(db.clone(), Arc::clone(&counts)));
        }
    }
    let part = |count: &AtomicU32| {
        f64::from(count.load(Ordering::Relaxed)) / WINDOW.as_secs_f64() / capacity
    };
    let (useful, refused) = (part(&counts.useful), part(&counts.refused));
    requests.close();
    requests.wait().await;
    db.close().await;
    Ok(Outcome {
        load,
        useful,
        refused,
    })
}
