//! Measures txn beside other ways to run a transaction, on private servers. Run it as `cargo xtask bench`.

mod admin;
mod busy;
mod count;
mod ground;
mod noise;
mod peer;
mod peers;
mod place;
mod plan;
mod proxy;
mod report;
mod run;
mod spin;
mod sql;
mod suite;
mod workloads;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::ground::Ground;
use crate::spin::Spinners;
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
    /// Instructions and allocations of the client per transaction (needs valgrind; a busy machine does not matter).
    Count {
        /// Where the profiles are kept; see `callgrind_annotate`.
        #[arg(long)]
        profiles: Option<PathBuf>,
    },
    /// One peer, so many times.
    #[command(hide = true)]
    Repeat {
        url: String,
        peer: String,
        kind: Kind,
        times: u64,
    },
    /// The proxy's process.
    #[command(hide = true)]
    Proxy { upstream: u16, micros: u64 },
    /// A spinner's process.
    #[command(hide = true)]
    Spin,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Task::Proxy { upstream, micros }) => {
            proxy::serve(upstream, Duration::from_micros(micros))
        }
        Some(Task::Spin) => spin::spin(),
        Some(Task::Count { profiles }) => count::run(profiles.as_deref()),
        Some(Task::Repeat {
            url,
            peer,
            kind,
            times,
        }) => count::child(&url, &peer, kind, times),
        None => measure(&arguments),
    }
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
    let mut ground = Ground::default();
    let _spinners = Spinners::start();
    for cell in &cells {
        let measured = suite::measure(&mut ground, cell, pace, arguments.retries)?;
        report::table::print(&measured);
    }
    println!("\ntook {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

impl Arguments {
    fn wants(&self, label: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| label.contains(text.as_str()))
    }
}
