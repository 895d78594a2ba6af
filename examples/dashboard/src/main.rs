//! A page that shows a load on txn, which can be turned up, dropped and hit by faults while one
//! watches.
//!
//! ```text
//! cargo run --example dashboard
//! cargo run --example dashboard -- --engine postgres
//! cargo run --example dashboard -- --database mysql://root@localhost/test --port 8080
//! ```
//!
//! Workers move cents between accounts by annotated functions: joined, nested, and a slow report
//! that reads only. The page, on <http://127.0.0.1:3000> unless `--port` says otherwise, shows
//! sessions, scopes by outcome, latency, rollbacks by cause, drops by phase, refused callers and
//! settling as they change, the open scopes (`db.scopes()`), and the sum of all accounts, which
//! stays right whatever one does: turn the load up, drop half of the scopes (“storm”), hold a lock.
//! With `--engine postgres` or `--engine mysql` it runs on a throwaway server of its own, whose
//! sessions can be ended, whose network can be slow, cut or half-open, and which can be killed.
//!
//! `/metrics` is for Prometheus; `examples/dashboard/grafana.json` is a dashboard for Grafana on
//! it. Every figure on the page is from there, from `db.status()` or from `db.scopes()`.
//!
//! It drops and creates the tables `txn_chaos_*` in the database it is given. It fails if any money
//! is lost.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use txn_dashboard::{Arguments, Dashboard};

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(run(&Arguments::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let dashboard = Dashboard::start(arguments).await?;
    println!("look at http://{}", dashboard.address());
    over(arguments.seconds).await?;
    let audit = dashboard.stop().await?;
    println!("{audit}");
    ensure!(audit.is_right(), "money was lost");
    Ok(())
}

/// Waits for Ctrl-C, or until the time is over.
async fn over(seconds: Option<u64>) -> Result<()> {
    let time = Duration::from_secs(seconds.unwrap_or(u64::MAX));
    match tokio::time::timeout(time, tokio::signal::ctrl_c()).await {
        Ok(signal) => signal.context("wait for Ctrl-C"),
        Err(_) => Ok(()),
    }
}
