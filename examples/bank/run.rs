//! One run: it connects, loads the accounts, posts the transfers, and audits the result.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use txn::{ConnectOptionsOf, Db};
use txn_chaos::Engine;

use crate::Limits;
use crate::domain::{Fee, Refusal, Transfer};
use crate::input::Input;
use crate::posting::{PostingError, post, refuse};
use crate::report::{Done, Report, Tally};
use crate::schema;

/// The number of times that a posting is retried which the engine aborted, because of a deadlock or
/// a lock timeout.
const MAX_RETRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) async fn run<E: Engine>(
    options: ConnectOptionsOf<E>,
    limits: Limits,
    input: &Input,
) -> Result<Report> {
    let accounts = &input.accounts.good;
    let builder = Db::<E>::builder(options).max_sessions(limits.sessions.get());
    let db = builder.connect().await.context(E::SYSTEM_NAME)?;
    schema::create(&db).await.context("create the tables")?;
    schema::load(&db, accounts)
        .await
        .context("load the accounts")?;
    let started = Instant::now();
    let tally = post_all(&db, limits, &input.transfers.good).await?;
    let elapsed = started.elapsed();
    let audit = schema::audit(&db).await.context("audit")?;
    db.close().await;
    Ok(Report {
        system: E::SYSTEM_NAME,
        malformed: input.transfers.bad.len(),
        opening: accounts
            .iter()
            .map(|account| i128::from(account.cents))
            .sum(),
        tally,
        elapsed,
        audit,
    })
}

/// Posts each transfer in its own task, so that all cores are used.
async fn post_all<E: Engine>(db: &Db<E>, limits: Limits, transfers: &[Transfer]) -> Result<Tally> {
    let bar = progress(transfers.len());
    let mut tally = Tally::new();
    let mut done = stream::iter(transfers)
        .map(|&transfer| tokio::spawn(process(db.clone(), transfer)))
        .buffer_unordered(limits.concurrency.get());
    while let Some(done) = done.try_next().await? {
        tally.add(&done?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(tally)
}

/// Creates the progress bar, which is hidden if standard error is not a terminal.
fn progress(transfers: usize) -> ProgressBar {
    let template = "{bar:40} {human_pos}/{human_len} transfers, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    ProgressBar::new(transfers as u64).with_style(style)
}

/// Posts a transfer, or records why it was refused.
async fn process<E: Engine>(db: Db<E>, transfer: Transfer) -> Result<Done> {
    let started = Instant::now();
    let (posted, retries) = post_patiently(&db, &transfer).await;
    let outcome = conclude(&db, &transfer, posted).await;
    Ok(Done {
        outcome: outcome.with_context(|| format!("transfer {}", transfer.id))?,
        retries,
        elapsed: started.elapsed(),
    })
}

async fn post_patiently<E: Engine>(
    db: &Db<E>,
    transfer: &Transfer,
) -> (Result<Fee, PostingError>, u32) {
    let mut retries = 0;
    loop {
        match post(db, transfer).await {
            Err(PostingError::Database(error)) if error.is_retryable() && retries < MAX_RETRIES => {
                retries += 1;
                tokio::time::sleep(PAUSE * retries).await;
            }
            posted => return (posted, retries),
        }
    }
}

async fn conclude<E: Engine>(
    db: &Db<E>,
    transfer: &Transfer,
    posted: Result<Fee, PostingError>,
) -> Result<Result<Fee, Refusal>, txn::Error> {
    match posted {
        Ok(fee) => Ok(Ok(fee)),
        Err(PostingError::Refused(why)) => {
            refuse(db, transfer.id, why).await?;
            Ok(Err(why))
        }
        Err(PostingError::Database(error)) => Err(error),
    }
}
