//! Measures txn beside other ways to run a transaction, on private servers. Run it as `cargo xtask
//! bench`.
//!
//! This is a library, so that a second program can have an allocator that counts.

mod admin;
mod busy;
mod compile;
mod count;
mod ground;
mod noise;
mod output;
mod overload;
mod peer;
mod peers;
mod place;
mod plan;
mod proxy;
mod report;
mod run;
mod settle;
mod spin;
mod sql;
mod suite;
mod summary;
mod targets;
mod workloads;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::ground::Ground;
use crate::place::{Engine, Size};
use crate::spin::Spinners;
use crate::suite::Measured;
use crate::targets::Results;
use crate::workloads::Kind;

/// Measures txn beside other ways to run a transaction, on private servers.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// The cells that say most, in about two minutes.
    #[arg(long)]
    quick: bool,
    /// Only cells with one of these in their label, as `postgres/tcp/touch/8x8`.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Runs of each peer in each cell.
    #[arg(long)]
    repetitions: Option<usize>,
    /// Milliseconds that each run is measured for.
    #[arg(long)]
    window: Option<u64>,
    /// How often a run is repeated if others were using the machine.
    #[arg(long, default_value_t = 2)]
    retries: usize,
    #[command(subcommand)]
    command: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Instructions and allocations of the client per transaction (needs valgrind; a busy machine
    /// does not matter).
    Count {
        /// Where the profiles are kept; see `callgrind_annotate`.
        #[arg(long)]
        profiles: Option<PathBuf>,
    },
    /// What the macro costs who compiles.
    Compile,
    /// How many answers are of use under overload, with early refusal and without.
    Overload,
    /// One peer, so many times.
    #[command(hide = true)]
    Repeat {
        url: String,
        peer: String,
        kind: Kind,
        tasks: usize,
        sessions: usize,
        times: u64,
    },
    /// The proxy's process.
    #[command(hide = true)]
    Proxy { upstream: u16, micros: u64 },
    /// A spinner's process.
    #[command(hide = true)]
    Spin,
}

/// The program.
pub fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Task::Proxy { upstream, micros }) => {
            proxy::serve(upstream, Duration::from_micros(micros))
        }
        Some(Task::Spin) => spin::spin(),
        Some(Task::Compile) => compile::run(),
        Some(Task::Overload) => overload(),
        Some(Task::Count { profiles }) => {
            count::run(&mut Ground::default(), profiles.as_deref()).map(drop)
        }
        Some(Task::Repeat {
            url,
            peer,
            kind,
            tasks,
            sessions,
            times,
        }) => count::child(&url, &peer, kind, Size { tasks, sessions }, times),
        None => measure(&arguments),
    }
}

fn overload() -> Result<()> {
    let curves = overload::run(&mut Ground::default())?;
    let path = output::save("overload", &curves)?;
    println!("\nwritten to {}", path.display());
    report::plot::overload(&curves)
}

fn measure(arguments: &Arguments) -> Result<()> {
    let begun = Instant::now();
    let mut pace = plan::pace(arguments.quick);
    pace.repetitions = arguments.repetitions.unwrap_or(pace.repetitions);
    pace.window = arguments.window.map_or(pace.window, Duration::from_millis);
    let mut cells = plan::cells(arguments.quick);
    cells.retain(|cell| arguments.wants(&cell.label()));
    ensure!(
        !cells.is_empty(),
        "no cell has one of {:?} in its label",
        arguments.only
    );
    print_absent(&cells);
    let mut ground = Ground::default();
    let _spinners = Spinners::start();
    let mut measured = Vec::new();
    for cell in &cells {
        let one = suite::measure(&mut ground, cell, pace, arguments.retries)?;
        report::table::print(&one);
        measured.push(one);
    }
    let is_whole = !arguments.quick && arguments.only.is_empty();
    let rest = Rest::of(&mut ground, is_whole)?;
    conclude(&measured, &rest, is_whole)?;
    println!("\ntook {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// The results that are not measured in cells.
#[derive(Serialize)]
struct Rest {
    counted: Option<count::Counted>,
    settled: Vec<settle::Settled>,
    compiled: Option<compile::Compiled>,
}

impl Rest {
    /// Measures the rest in a full run. The last result of the separate command `compile` is
    /// loaded.
    fn of(ground: &mut Ground, is_whole: bool) -> Result<Self> {
        const DROPS: usize = 500;
        Ok(match is_whole {
            true => Self {
                counted: count::run(ground, None)
                    .inspect_err(|error| println!("skipped: counting: {error:#}"))
                    .ok(),
                settled: settle::run(ground, DROPS)?,
                compiled: compile::earlier(),
            },
            false => Self {
                counted: None,
                settled: Vec::new(),
                compiled: None,
            },
        })
    }
}

/// Compares the results with the targets. Only a full run draws the plots that the README shows.
fn conclude(measured: &[Measured], rest: &Rest, is_whole: bool) -> Result<()> {
    let targets = targets::check(&Results {
        measured,
        counted: rest.counted.as_ref(),
        compiled: rest.compiled.as_ref(),
    });
    report::promises::print(&targets);
    let name = if is_whole { "full" } else { "latest" };
    let path = output::save(name, &(measured, rest, &targets))?;
    println!("\nwritten to {}", path.display());
    if is_whole {
        report::plot::all(measured, rest.counted.as_ref(), &rest.settled)?;
    }
    Ok(())
}

/// Prints which peers are skipped because they are not installed.
fn print_absent(cells: &[plan::Cell]) {
    let engines = [Engine::Postgres, Engine::MariaDb, Engine::Sqlite];
    let used = engines.iter().filter(|&&engine| {
        let mut wide = cells.iter().filter(|cell| cell.peers.is_empty());
        wide.any(|cell| cell.engine == engine)
    });
    for peer in used.flat_map(|&engine| peers::of(engine)) {
        if let Some(reason) = peer.absence() {
            println!("skipped: {}: {reason}", peer.name);
        }
    }
}

impl Arguments {
    fn wants(&self, label: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| label.contains(text.as_str()))
    }
}
