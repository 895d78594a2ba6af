//! Measures how much other processes used the processors.
//!
//! A run is disturbed, and repeated, if others took more than a tenth of the machine meanwhile.
//! This depends only on the machine, never on the result.

use anyhow::{Context, Result};
use procfs::process::Process;
use procfs::{CurrentSI, KernelStats};

/// The share of all processors that others may use before a run counts as disturbed.
const TOLERATED: f64 = 0.1;

/// The processor time that was used so far, in ticks.
#[derive(Clone, Copy)]
pub struct Meter {
    all: u64,
    stolen: u64,
    ours: u64,
    total: u64,
}

impl Meter {
    /// Reads the times. `ours` are the processes that take part, in addition to this one.
    pub fn read(ours: &[u32]) -> Result<Self> {
        let cpu = KernelStats::current()?.total;
        // Niced work is left out, because it is that of the spinners, or gives way.
        let all = cpu.user + cpu.system + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0);
        let stolen = cpu.steal.unwrap_or(0);
        let mut used = ticks(&Process::myself()?)?;
        for &pid in ours {
            used += family(pid)?;
        }
        Ok(Self {
            all,
            stolen,
            ours: used,
            total: all + stolen + cpu.nice + cpu.idle + cpu.iowait.unwrap_or(0),
        })
    }

    /// Returns the share of the machine that other processes, or the hypervisor, took since
    /// `before`.
    pub fn foreign_since(self, before: Self) -> f64 {
        let all = self.all - before.all;
        let foreign = all.saturating_sub(self.ours.saturating_sub(before.ours));
        let foreign = foreign + (self.stolen - before.stolen);
        foreign as f64 / (self.total - before.total).max(1) as f64
    }
}

pub fn is_disturbed(foreign: f64) -> bool {
    foreign > TOLERATED
}

/// Returns the ticks of a server's process and its child processes, including those that have
/// ended.
fn family(pid: u32) -> Result<u64> {
    let parent = Process::new(i32::try_from(pid)?).context("one of our processes")?;
    let stat = parent.stat()?;
    let ended = u64::try_from(stat.cutime + stat.cstime)?;
    let children = parent.task_main_thread()?.children()?;
    let children = children
        .into_iter()
        .filter_map(|pid| Process::new(i32::try_from(pid).ok()?).ok())
        .filter_map(|child| ticks(&child).ok());
    Ok(ticks(&parent)? + ended + children.sum::<u64>())
}

fn ticks(process: &Process) -> Result<u64> {
    let stat = process.stat()?;
    Ok(stat.utime + stat.stime)
}
