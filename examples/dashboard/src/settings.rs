//! The command line.

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::load::MOST;

/// Serves a page that shows a load on txn, and lets it be turned up, faulted and stormed.
#[derive(Clone, Parser)]
#[command(name = "dashboard")]
pub struct Arguments {
    /// `sqlite://FILE`, `postgres://…` or `mysql://…`; default: SQLite in a temporary file.
    #[arg(long, value_name = "URL", conflicts_with = "engine")]
    pub(crate) database: Option<String>,
    /// A throwaway database of this engine, on a server of our own: one that can be faulted.
    #[arg(long, default_value = "sqlite")]
    engine: Engine,
    /// Of the page, on 127.0.0.1; 0: a free one.
    #[arg(long, value_name = "N", default_value = "3000")]
    pub(crate) port: u16,
    /// End after so long; default: at Ctrl-C.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// How many workers there are at first.
    #[arg(long, value_name = "N", default_value = "12", value_parser = workers)]
    pub(crate) workers: usize,
    /// Begin with the storm on: half of the scopes are dropped.
    #[arg(long)]
    pub(crate) storm: bool,
    /// The most database sessions open at a time.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) sessions: u16,
    /// What the metrics call the pool: `db.client.connection.pool.name`.
    #[arg(long, value_name = "NAME", default_value = "bank")]
    pub(crate) name: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Sqlite,
    #[value(alias = "postgresql")]
    Postgres,
    #[value(alias = "mariadb")]
    Mysql,
}

impl Arguments {
    pub(crate) fn engine(&self) -> Result<Engine> {
        let Some(url) = &self.database else {
            return Ok(self.engine);
        };
        // The URL may hold a password, so no message repeats it.
        Ok(match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "sqlite" => Engine::Sqlite,
            "postgres" | "postgresql" => Engine::Postgres,
            "mysql" | "mariadb" => Engine::Mysql,
            _ => bail!("--database: expected sqlite://FILE, postgres://… or mysql://…"),
        })
    }
}

fn workers(text: &str) -> Result<usize> {
    let workers = text.parse().context("not a number")?;
    match workers <= MOST {
        true => Ok(workers),
        false => bail!("at most {MOST}"),
    }
}
