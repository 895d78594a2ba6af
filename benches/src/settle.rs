//! Measures the time from the drop of a scope until its session is clean and back in the pool, or
//! closed.

use std::pin::pin;
use std::time::Instant;

use anyhow::Result;
use fastrand::Rng;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::ground::Ground;
use crate::peers::Settling;
use crate::place::{Engine, Size};
use crate::plan::Way;
use crate::workloads::any_transfer;

/// The settle times on one engine.
#[derive(Clone, Debug, Serialize)]
pub struct Settled {
    pub engine: Engine,
    pub drops: usize,
    /// Microseconds.
    pub p50: f64,
    pub p99: f64,
    pub worst: f64,
    /// Settle times in microseconds, each with the share of drops that took no longer.
    pub distribution: Vec<(u64, f64)>,
}

/// Drops transfers after any number of polls, one at a time.
pub fn run(ground: &mut Ground, drops: usize) -> Result<Vec<Settled>> {
    let engines = [
        (Engine::Postgres, Way::Tcp),
        (Engine::MariaDb, Way::Tcp),
        (Engine::Sqlite, Way::File),
    ];
    let settled = engines.map(|(engine, way)| one(ground, engine, way, drops));
    let settled = settled.into_iter().collect::<Result<Vec<_>>>()?;
    println!("\nFrom the drop of a scope until its session is clean and back, or closed (txn)");
    for Settled {
        engine,
        p50,
        p99,
        worst,
        ..
    } in &settled
    {
        println!("  {engine:?}: p50 {p50:.0} µs, p99 {p99:.0} µs, worst {worst:.0} µs");
    }
    Ok(settled)
}

fn one(ground: &mut Ground, engine: Engine, way: Way, drops: usize) -> Result<Settled> {
    let place = ground.spot(engine, way)?.place;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let times = runtime.block_on(async {
        let size = Size {
            tasks: 1,
            sessions: 4,
        };
        let mut peer = Settling::open(&place, size).await?;
        let mut rng = Rng::with_seed(1);
        let mut times = Histogram::<u64>::new(3)?;
        while times.len() < drops as u64 {
            if let Some(nanos) = drop_one(&mut peer, &mut rng).await? {
                times.record(nanos)?;
            }
        }
        anyhow::Ok(times)
    })?;
    let micros = |nanos: u64| nanos as f64 / 1e3;
    Ok(Settled {
        engine,
        drops,
        p50: micros(times.value_at_quantile(0.5)),
        p99: micros(times.value_at_quantile(0.99)),
        worst: micros(times.max()),
        distribution: crate::run::distribution(&times),
    })
}

/// Returns the nanoseconds, or `None` if the scope ended before it was dropped.
async fn drop_one(peer: &mut Settling, rng: &mut Rng) -> Result<Option<u64>> {
    let polls = rng.usize(1..8);
    {
        let mut work = pin!(peer.transfer(any_transfer(rng)));
        let mut left = polls;
        let done = std::future::poll_fn(|context| {
            let state = work.as_mut().poll(context);
            left -= 1;
            match state.is_pending() && left == 0 {
                true => std::task::Poll::Ready(None),
                false => state.map(Some),
            }
        });
        if let Some(done) = done.await {
            return done.map(|()| None);
        }
    }
    let dropped = Instant::now();
    peer.settled().await;
    Ok(Some(u64::try_from(dropped.elapsed().as_nanos())?))
}
