//! Peers that are programs of their own: what they have in common.

use anyhow::{Result, ensure};
use procfs::process::Process;

use crate::admin::Admin;
use crate::run::{Gauge, Order, Sample};
use crate::workloads::{Effect, Kind};

/// What a program says it did.
pub struct Said {
    pub sample: Sample,
    /// In all, not only while it was measured.
    pub all: i64,
}

/// Runs a program between a clean start and a look at what it left behind.
pub fn run(
    kind: Kind,
    order: &Order,
    gauge: &mut dyn Gauge,
    program: impl FnOnce() -> Result<Said>,
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

/// Seconds that our ended children have used.
fn children() -> Result<f64> {
    let stat = Process::myself()?.stat()?;
    let ticks = stat.cutime + stat.cstime;
    Ok(ticks as f64 / procfs::ticks_per_second() as f64)
}
