//! The command line.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Parser, value_parser};
use txn_chaos::{EngineName, Limits, Target};

/// Drops scopes at every moment, and checks that nothing was lost.
#[derive(Parser)]
#[command(name = "storm")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Sessions terminated, the server crashed, the network slow, cut and half-open; needs a server
    /// of our own.
    #[arg(long)]
    pub(crate) faults: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(clap::Args)]
pub(crate) struct Settings {
    #[arg(long, value_name = "N", default_value = "100")]
    #[arg(value_parser = value_parser!(i64).range(2..))]
    pub(crate) accounts: i64,
    /// How many scopes are under way at a time.
    #[arg(long, value_name = "N", default_value = "32")]
    pub(crate) tasks: usize,
    /// The most database sessions open at a time.
    #[arg(long, value_name = "N", default_value = "10", value_parser = sessions)]
    pub(crate) sessions: usize,
    /// How long it lasts.
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    seconds: u64,
    /// How many scopes, however long it takes.
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    pub(crate) scopes: Option<i64>,
    #[arg(long, default_value = "1")]
    pub(crate) seed: u64,
    /// Without queries of 20 s; on sqlx alone their sessions are soon all there is.
    #[arg(long)]
    no_slow: bool,
    /// On sqlx alone, to compare.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Instead of a storm, measure so often how soon the lock of a scope dropped in a 20 s query is
    /// free for others.
    #[arg(long, value_name = "N", conflicts_with = "raw")]
    pub(crate) locks: Option<u64>,
}

impl Arguments {
    pub(crate) fn engine(&self) -> Result<EngineName> {
        let engine = self.target.engine()?;
        let has_server = !self.target.is_given() && engine != EngineName::Sqlite;
        ensure!(
            has_server || !self.faults,
            "--faults needs a server of our own: `--engine postgres` or `--engine mysql`"
        );
        Ok(engine)
    }
}

impl Settings {
    /// Returns when to stop beginning scopes.
    pub(crate) fn end(&self) -> Instant {
        const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let limit = Duration::from_secs(self.seconds);
        Instant::now() + self.scopes.map_or(limit, |_| FOREVER)
    }

    /// Describes the length of the storm.
    pub(crate) fn extent(&self) -> String {
        match self.scopes {
            Some(scopes) => format!("{scopes} scopes"),
            None => format!("{} s", self.seconds),
        }
    }

    /// Returns the limits that scenarios are drawn from.
    pub(crate) fn limits(&self, second_writer: bool) -> Limits {
        Limits {
            seed: self.seed,
            accounts: self.accounts,
            second_writer: second_writer && self.sessions > 1,
            slow_queries: !self.no_slow,
        }
    }
}

fn sessions(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".into()),
        Ok(sessions) => Ok(sessions),
        Err(error) => Err(format!("{error}")),
    }
}
