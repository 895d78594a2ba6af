//! The common part of peers that are separate programs.

use anyhow::{Result, ensure};
use procfs::process::Process;

use crate::admin::Admin;
use crate::run::{Gauge, Order, Sample};
use crate::workloads::{Effect, Kind};

/// The results that a program reports.
pub struct Report {
    pub sample: Sample,
    /// All transactions, including those outside of the window.
    pub all: i64,
}

/// Prepares the tables, runs a program, and checks what it left behind.
pub fn run(
    kind: Kind,
    order: &Order,
    gauge: &mut dyn Gauge,
    program: impl FnOnce() -> Result<Report>,
) -> Result<Sample> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut admin = runtime.block_on(Admin::connect(&order.direct))?;
    let before = runtime.block_on(admin.before_run())?;
    gauge.begin()?;
    let cpu = children()?;
    let said = program()?;
    let cpu = children()? - cpu;
    gauge.end()?;
    let effect = Effect {
        rows: i64::from(kind == Kind::Transfer),
        sum: 0,
    };
    let missing = runtime.block_on(admin.missing(before, effect, said.all, 0))?;
    ensure!(said.all > 0, "the program did nothing");
    let cpu = said.sample.cpu.unwrap_or(cpu * 1e6 / said.all as f64);
    Ok(Sample {
        cpu: Some(cpu),
        missing,
        ..said.sample
    })
}

/// Returns the processor seconds of the child processes that have ended.
fn children() -> Result<f64> {
    let stat = Process::myself()?.stat()?;
    let ticks = stat.cutime + stat.cstime;
    Ok(ticks as f64 / procfs::ticks_per_second() as f64)
}
