//! One run on this engine: connect, create, storm, come to rest, audit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::pool::PoolOptions;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use txn::{ConnectOptionsOf, Db};

use super::guarded::Guarded;
use super::raw::Raw;
use super::{Bank, SECOND_WRITER, SYSTEM, bank, locks, marked, open_transactions, terminate};
use crate::calm::{self, Calm, Load};
use crate::drive::drive;
use crate::events::Events;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::report::{Locks, Report};
use crate::subject::Subject;
use crate::summary::{End, Summary};
use crate::{Place, Settings};

/// For a session, for a cleanup, and for the server to be away: shorter than usual, so that they run out at times.
const ACQUIRE: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(2);
const AWAY: Duration = Duration::from_millis(200);
/// Callers that wait for longer are refused when that lasts: as in a service, whose callers give up.
const TARGET: Duration = Duration::from_millis(50);
/// How long the server may take to notice that a connection is closed.
const NOTICE: Duration = Duration::from_secs(5);
/// Lock releases measured when the storm is over, where it would be in the way.
const AFTERWARDS: u64 = 100;

type Options = ConnectOptionsOf<Bank>;

pub(crate) async fn run(mut place: Place<Options>, settings: &Settings) -> Result<Report> {
    place.options = marked(place.options);
    let mut direct = bank::connect(&place.direct).await.context(SYSTEM)?;
    let created = bank::create(&mut direct, settings.accounts).await;
    created.context("create the tables")?;
    if settings.raw {
        return raw(place, settings).await;
    }
    match settings.locks {
        Some(rounds) => measure_locks(&place, settings, rounds).await,
        None => Box::pin(guarded(place, settings)).await,
    }
}

async fn measure_locks(place: &Place<Options>, settings: &Settings, rounds: u64) -> Result<Report> {
    let db = connect(place, settings).await?;
    let is_enough = |measured| measured >= rounds;
    let locks = locks::measure(&db, settings.seed, is_enough).await;
    db.close().await;
    Ok(Report::of_locks(SYSTEM, &locks))
}

async fn connect(place: &Place<Options>, settings: &Settings) -> Result<Db<Bank>> {
    let builder = Db::builder(place.options.clone()).max_sessions(settings.sessions);
    let builder = builder.acquire_timeout(ACQUIRE).settle_timeout(SETTLE);
    let builder = builder.breaker_after(AWAY).queue_target(TARGET);
    builder.connect().await.context(SYSTEM)
}

async fn raw(place: Place<Options>, settings: &Settings) -> Result<Report> {
    let options = PoolOptions::<Bank>::new().acquire_timeout(ACQUIRE);
    let options = options.max_connections(u32::try_from(settings.sessions)?);
    let pool = options.connect_with(place.options.clone()).await;
    let (subject, over) = (Raw(pool.context(SYSTEM)?), Arc::default());
    let summary = storm(subject, async { None }, &over, place, settings).await?;
    Ok(Report::of(SYSTEM, &summary, settings))
}

/// The locks are probed through a handle of their own: it waits for locks only, not for sessions.
async fn guarded(place: Place<Options>, settings: &Settings) -> Result<Report> {
    let db = connect(&place, settings).await?;
    let prober = connect(&place, settings).await?;
    let over = Arc::new(AtomicBool::new(false));
    let probe = async {
        match SECOND_WRITER {
            true => Some(measure_until(&prober, &over, settings).await),
            false => None,
        }
    };
    let mut summary = Box::pin(storm(Guarded(db), probe, &over, place, settings)).await?;
    if summary.locks.is_none() {
        let is_enough = |measured| measured >= AFTERWARDS;
        summary.locks = Some(locks::measure(&prober, settings.seed, is_enough).await);
    }
    prober.close().await;
    Ok(Report::of(SYSTEM, &summary, settings))
}

async fn measure_until(prober: &Db<Bank>, over: &AtomicBool, settings: &Settings) -> Locks {
    let is_over = |_| over.load(Ordering::Relaxed);
    let locks = locks::measure(prober, settings.seed, is_over).await;
    prober.settled().await;
    locks
}

async fn storm<S: Subject>(
    subject: S,
    probe: impl Future<Output = Option<Locks>>,
    over: &Arc<AtomicBool>,
    mut place: Place<Options>,
    settings: &Settings,
) -> Result<Summary> {
    let events = Events::listen();
    let calm = Arc::new(Journal::new());
    let load = || Load::on(&subject, &calm, settings);
    let raging = match place.faults.take() {
        Some(faults) => {
            let before = calm::throughput(load()).await;
            let raging = rage(faults, place.direct.clone(), Arc::clone(over));
            Some((raging, before))
        }
        None => None,
    };
    let journal = Arc::new(Journal::new());
    let storm = async {
        drive(subject.clone(), &journal, SECOND_WRITER, settings).await;
        over.store(true, Ordering::Relaxed);
        journal.begun.elapsed()
    };
    let (elapsed, locks) = tokio::join!(storm, probe);
    let after = match raging {
        Some((raging, before)) => Some(aftermath(raging, load(), before).await?),
        None => None,
    };
    let end = end(subject, &place.direct, settings).await?;
    let faults = after.as_ref().map(|(faults, _)| faults.counts.clone());
    Ok(Summary {
        elapsed,
        records: journal.take(),
        events,
        faults: faults.unwrap_or_default(),
        locks,
        calm: after.map(|(_, returned)| (returned, calm.take())),
        end,
    })
}

/// The load is there when the faults end.
async fn aftermath(
    raging: JoinHandle<Result<Faults>>,
    load: Load,
    before: f64,
) -> Result<(Faults, Calm)> {
    let faults = raging.await??;
    Ok((faults, Calm::return_of(load, before).await))
}

/// In a task of its own: a server that is being restarted blocks it.
fn rage(mut faults: Faults, direct: Options, over: Arc<AtomicBool>) -> JoinHandle<Result<Faults>> {
    tokio::spawn(async move {
        let is_over = || over.load(Ordering::Relaxed);
        let terminate = || async { terminate(&direct).await.unwrap_or(0) };
        faults.rage(is_over, terminate).await?;
        Ok(faults)
    })
}

async fn end<S: Subject>(subject: S, direct: &Options, settings: &Settings) -> Result<End> {
    let rest = subject.come_to_rest().await;
    let rested = Instant::now();
    let mut direct = bank::connect(direct).await.context("audit")?;
    let mut in_transaction = open_transactions(&mut direct).await?;
    while !in_transaction.is_empty() && rested.elapsed() < NOTICE {
        sleep(Duration::from_millis(20)).await;
        in_transaction = open_transactions(&mut direct).await?;
    }
    let noticed = rested.elapsed();
    let taken = subject.take_all(settings.sessions).await;
    let closed = subject.close().await;
    Ok(End {
        rest,
        in_transaction,
        noticed,
        taken,
        closed,
        ledger: bank::read(&mut direct, settings.accounts)
            .await
            .context("audit")?,
    })
}
