//! A storm: thousands of scopes are dropped at every moment, and afterwards it is proved that
//! nothing was lost.
//!
//! ```text
//! cargo run --release --example storm
//! cargo run --release --example storm -- --engine postgres --faults
//! cargo run --release --example storm -- --database mysql://root@localhost/test --seconds 60
//! cargo run --release --example storm -- --engine postgres --locks 1000
//! cargo run --release --example storm -- --engine postgres --raw --no-slow
//! ```
//!
//! Transfers run in joined, nested and `requires_new` scopes. About half of them are dropped: by a
//! timeout, by aborting their task, by losing a `select!`, or by a panic. With `--faults`, which
//! needs a server of its own (`--engine`), sessions are terminated, the server crashes, and the
//! network is slow, cut or half-open. Afterwards the same load as before has to reach the same
//! throughput, on the same handle and without help. The program fails if anything is lost, or if
//! less than half of the throughput comes back within 30 s. `--raw` sends the same through sqlx
//! alone, for comparison, and always succeeds. `--seed` repeats a run except for its timing: each
//! scope does the same and is interrupted in the same way.
//!
//! - `main.rs`: one run, from the tables to the report.
//! - `load.rs`: the tasks that begin one scope after the other. What a scope does, how it is
//!   dropped, and the check of what its caller was told are in `tests/chaos`:
//!   [`txn_chaos::Scenario`], [`txn_chaos::run`], [`txn_chaos::Violations`].
//! - `faults.rs`: the faults of the server and the network.
//! - `recovery.rs`: the throughput before the faults, and the recovery after them.
//! - `locks.rs`: how soon a dropped scope's locks are free.
//! - `pool.rs`, `raw.rs`: the library under test: txn, or sqlx alone.
//! - `summary.rs`, `report.rs`, `events.rs`: the results.
//!
//! It drops and creates the tables `txn_chaos_*` in the database it is given.

mod events;
mod faults;
mod load;
mod locks;
mod pool;
mod raw;
mod recovery;
mod report;
mod settings;
mod summary;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use tokio::time::sleep;
use txn::{Db, MySql, Postgres, Sqlite};
use txn_chaos::bank::{self, Contents};
use txn_chaos::{Database, Engine, EngineName, Journal, silence_injected_panics};

use crate::events::Events;
use crate::faults::{Counts, FaultInjector};
use crate::pool::Pool;
use crate::raw::Raw;
use crate::recovery::Recovery;
use crate::report::Report;
use crate::settings::{Arguments, Settings};
use crate::summary::{Final, Locks, Summary};

/// The longest time that the server may take to notice that a connection is closed.
const NOTICE: Duration = Duration::from_secs(60);
/// The number of lock releases that are measured after the storm, if it would disturb them.
const AFTERWARDS: u64 = 100;

#[tokio::main]
async fn main() -> ExitCode {
    silence_injected_panics();
    let arguments = Arguments::parse();
    match Box::pin(run(&arguments)).await {
        Ok(report) => {
            println!("{report}");
            for (event, count) in report.events() {
                eprintln!("{count} × {event}");
            }
            ExitCode::from(u8::from(!report.is_sound() && !arguments.settings.raw))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &Arguments) -> Result<Report> {
    match arguments.engine()? {
        EngineName::Sqlite => Box::pin(run_on::<Sqlite>(arguments)).await,
        EngineName::Postgres => Box::pin(run_on::<Postgres>(arguments)).await,
        EngineName::Mysql => Box::pin(run_on::<MySql>(arguments)).await,
    }
}

async fn run_on<E: Engine>(arguments: &Arguments) -> Result<Report> {
    let settings = &arguments.settings;
    let mut database = Database::<E>::open(&arguments.target, arguments.faults).await?;
    database.options = E::tagged(database.options);
    let mut direct = connect(&database).await.context(E::SYSTEM_NAME)?;
    let created = bank::create::<E>(&mut direct, settings.accounts).await;
    created.context("create the tables")?;
    drop(direct);
    if let Some(rounds) = settings.locks {
        let db = pool::connect(&database, settings).await?;
        let locks = locks::measure(&db, settings.seed, |measured| measured >= rounds).await;
        db.close().await;
        return Ok(Report::of_locks(E::SYSTEM_NAME, &locks));
    }
    let summary = match settings.raw {
        true => {
            let pool = Raw::connect(&database, settings).await?;
            storm(pool, async { None }, &Arc::default(), database, settings).await?
        }
        false => storm_and_locks(database, settings).await?,
    };
    Ok(Report::of(E::SYSTEM_NAME, &summary, settings))
}

/// Runs the storm, and probes the locks through a separate handle, which waits for locks only and
/// not for sessions.
async fn storm_and_locks<E: Engine>(database: Database<E>, settings: &Settings) -> Result<Summary> {
    let db = pool::connect(&database, settings).await?;
    let prober = pool::connect(&database, settings).await?;
    let over = Arc::new(AtomicBool::new(false));
    let probe = async {
        match E::SECOND_WRITER {
            true => Some(measure_until(&prober, &over, settings).await),
            false => None,
        }
    };
    let mut summary = Box::pin(storm(db, probe, &over, database, settings)).await?;
    if summary.locks.is_none() {
        let is_enough = |measured| measured >= AFTERWARDS;
        summary.locks = Some(locks::measure(&prober, settings.seed, is_enough).await);
    }
    prober.close().await;
    Ok(summary)
}

async fn measure_until<E: Engine>(prober: &Db<E>, over: &AtomicBool, settings: &Settings) -> Locks {
    let is_over = |_| over.load(Ordering::Relaxed);
    let locks = locks::measure(prober, settings.seed, is_over).await;
    prober.settled().await;
    locks
}

/// Drops scopes, with `--faults` also injects faults, waits until everything has settled, and
/// inspects the result.
async fn storm<E: Engine>(
    pool: impl Pool,
    probe: impl Future<Output = Option<Locks>>,
    over: &Arc<AtomicBool>,
    mut database: Database<E>,
    settings: &Settings,
) -> Result<Summary> {
    let events = Events::listen();
    let server = database.server.take();
    let recovery = match &server {
        Some(_) => Some(Recovery::before_faults(&pool, settings).await),
        None => None,
    };
    let faults = server.map(|server| {
        let injector = FaultInjector::<E>::new(server, &database.direct, settings.seed);
        injector.start(Arc::clone(over))
    });
    let journal = Arc::new(Journal::default());
    let load = async {
        load::run(pool.clone(), &journal, E::SECOND_WRITER, settings).await;
        over.store(true, Ordering::Relaxed);
        journal.started.elapsed()
    };
    let (elapsed, locks) = tokio::join!(load, probe);
    let mut summary = Summary {
        elapsed,
        records: journal.take(),
        events,
        faults: Counts::new(),
        locks,
        returned: None,
        end: Final::default(),
    };
    if let (Some(faults), Some(recovery)) = (faults, recovery) {
        let (counts, server, returned) = recovery.after(faults, &pool, settings).await?;
        database.server = Some(server);
        (summary.faults, summary.returned) = (counts, Some(returned));
    }
    summary.end = look(pool, &database, settings).await?;
    Ok(summary)
}

/// Reads what is left in the pool, on the server, and in the tables.
async fn look<E: Engine>(
    pool: impl Pool,
    database: &Database<E>,
    settings: &Settings,
) -> Result<Final> {
    let leftovers = pool.settle().await;
    let settled = Instant::now();
    let mut direct = connect(database).await.context("audit")?;
    let mut in_transaction = E::open_transactions(&mut direct).await?;
    while !in_transaction.is_empty() && settled.elapsed() < NOTICE {
        sleep(Duration::from_millis(20)).await;
        in_transaction = E::open_transactions(&mut direct).await?;
    }
    let noticed = settled.elapsed();
    let sessions = pool.acquire_all(settings.sessions).await;
    let closed = pool.close().await;
    let contents = Contents::read::<E>(&mut direct, settings.accounts).await;
    Ok(Final {
        leftovers,
        in_transaction,
        noticed,
        sessions,
        closed,
        contents: contents.context("audit")?,
    })
}

async fn connect<E: Engine>(database: &Database<E>) -> Result<E::Connection, sqlx::Error> {
    Database::<E>::connect(&database.direct).await
}
