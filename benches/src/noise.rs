//! Who else was using the processors.
//!
//! A run is disturbed, and repeated, if others took more than a tenth of the machine meanwhile. The rule looks at the
//! machine and never at the result.

use anyhow::{Context, Result};
use procfs::process::Process;
use procfs::{CurrentSI, KernelStats};

/// The part of all processors that may go to others before a run counts as disturbed.
const TOLERATED: f64 = 0.1;

/// Processor time used so far, in ticks.
#[derive(Clone, Copy)]
pub struct Meter {
    all: u64,
    stolen: u64,
    ours: u64,
    total: u64,
}

impl Meter {
    /// `ours` are the processes that take part, beside this one.
    pub fn read(ours: &[u32]) -> Result<Self> {
        let cpu = KernelStats::current()?.total;
        // Niced work is left out: it is that of our spinners, or gives way.
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

    /// The part of the machine that others, or the machine below, took since.
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

/// A server's process and its sessions, the ended ones included.
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
