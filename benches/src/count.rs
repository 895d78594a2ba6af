//! Counts instructions, allocations and memory of the client, which do not depend on how busy the
//! machine is.
//!
//! A child process runs a workload few times, and another one many times. The difference yields the
//! cost of one transaction, without that of starting up. Instructions are counted by callgrind, and
//! allocations by a separate program whose allocator counts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use crate::ground::Ground;
use crate::output;
use crate::peers::{self, DEADPOOL, DEFAULT, HELD, NO_PING, OURS, PIPELINED};
use crate::place::{Engine, Place, Size};
use crate::plan::Way;
use crate::workloads::Kind;

const FEW: u64 = 200;
const MANY: u64 = 1200;

const ALL: &[&str] = &[OURS, HELD, DEFAULT, NO_PING, DEADPOOL];

const COUNTED: [(Kind, &[&str]); 9] = [
    (Kind::Empty, ALL),
    (
        Kind::Touch,
        &[OURS, HELD, DEFAULT, NO_PING, DEADPOOL, PIPELINED],
    ),
    (
        Kind::Transfer,
        &[OURS, HELD, DEFAULT, NO_PING, DEADPOOL, PIPELINED],
    ),
    (Kind::ReadOnly, &[OURS, HELD]),
    (Kind::Joined1, &[OURS]),
    (Kind::Joined3, &[OURS]),
    (Kind::Joined10, &[OURS]),
    (Kind::Nested1, &[OURS, HELD]),
    (Kind::Nested3, &[OURS, HELD]),
];

const ONE: Size = Size {
    tasks: 1,
    sessions: 1,
};

/// The cost of one transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cost {
    pub kind: Kind,
    pub peer: String,
    pub instructions: f64,
    pub allocations: f64,
}

/// The memory of a task that waits for a session, in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    pub peer: String,
    pub bytes: f64,
}

/// All counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counted {
    pub costs: Vec<Cost>,
    pub memory: Vec<Memory>,
}

impl Counted {
    pub fn cost(&self, kind: Kind, peer: &str) -> Option<&Cost> {
        let mut costs = self.costs.iter();
        costs.find(|cost| cost.kind == kind && cost.peer == peer)
    }
}

/// Counts, prints the counts, and saves them. The profiles are kept in `profiles`, if it is given.
pub fn run(ground: &mut Ground, profiles: Option<&Path>) -> Result<Counted> {
    let spot = ground.spot(Engine::Postgres, Way::Socket)?;
    share_processor(&spot.pids);
    let place = spot.place;
    let mut counted = Counted {
        costs: Vec::new(),
        memory: Vec::new(),
    };
    for (kind, names) in COUNTED {
        for name in names {
            counted.costs.push(cost(&place, name, kind, profiles)?);
        }
    }
    for name in [OURS, DEFAULT, NO_PING, DEADPOOL] {
        counted.memory.push(memory(&place, name)?);
    }
    print(&counted);
    output::save("count", &counted)?;
    Ok(counted)
}

/// The processor that client and server share.
const PROCESSOR: &str = "0";

/// Pins the servers to one processor, at a priority at which they run only while the client sleeps.
///
/// Otherwise the number of times that a client polls in vain would depend on when the server runs.
/// Sessions that begin from now on inherit both settings.
fn share_processor(servers: &[u32]) {
    for pid in servers.iter().map(u32::to_string) {
        let pinned = Command::new("taskset")
            .args(["-cp", PROCESSOR, &pid])
            .output();
        let lowered = Command::new("chrt")
            .args(["--batch", "-p", "0", &pid])
            .output();
        if pinned.is_err() || lowered.is_err() {
            println!("no `taskset` or `chrt` here: instructions will vary");
        }
    }
}

fn print(counted: &Counted) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["workload", "peer", "instructions", "allocations"]);
    for cost in &counted.costs {
        table.add_row([
            cost.kind.name().to_owned(),
            cost.peer.clone(),
            format!("{:.0}", cost.instructions),
            format!("{:.1}", cost.allocations),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\nThe client per transaction (PostgreSQL, unix socket, one task)\n{table}");
    println!("\nMemory per task that waits for one of 16 sessions");
    for memory in &counted.memory {
        println!("  {}: {:.0} bytes", memory.peer, memory.bytes);
    }
}

fn cost(place: &Place, peer: &str, kind: Kind, profiles: Option<&Path>) -> Result<Cost> {
    let each = |few: u64, many: u64| many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
    let job = |times| Job {
        place,
        peer,
        kind,
        size: ONE,
        times,
    };
    let few = job(FEW).instructions(None)?;
    let many = job(MANY).instructions(profiles)?;
    let allocations = each(job(FEW).allocated()?.0, job(MANY).allocated()?.0);
    Ok(Cost {
        kind,
        peer: peer.to_owned(),
        instructions: each(few, many),
        allocations,
    })
}

/// Measures the peak memory of a thundering herd, where nearly all tasks wait.
fn memory(place: &Place, peer: &str) -> Result<Memory> {
    const HERDS: [usize; 2] = [2_000, 12_000];
    let [few, many] = HERDS.map(|tasks| {
        let size = Size {
            tasks,
            sessions: 16,
        };
        let job = Job {
            place,
            peer,
            kind: Kind::Touch,
            size,
            times: 1,
        };
        job.allocated()
    });
    let more = many?.1.saturating_sub(few?.1);
    Ok(Memory {
        peer: peer.to_owned(),
        bytes: more as f64 / (HERDS[1] - HERDS[0]) as f64,
    })
}

/// The job of a child process.
struct Job<'a> {
    place: &'a Place,
    peer: &'a str,
    kind: Kind,
    size: Size,
    times: u64,
}

impl Job<'_> {
    fn arguments(&self) -> [String; 7] {
        let Size { tasks, sessions } = self.size;
        let (tasks, sessions) = (tasks.to_string(), sessions.to_string());
        let (url, peer) = (self.place.url.clone(), self.peer.to_owned());
        let (kind, times) = (self.kind.name().to_owned(), self.times.to_string());
        ["repeat".to_owned(), url, peer, kind, tasks, sessions, times]
    }

    fn run(&self, mut command: Command) -> Result<(String, String)> {
        let output = command.args(self.arguments()).output();
        let output = output.with_context(|| format!("run {}", command.get_program().display()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let (peer, kind) = (self.peer, self.kind.name());
        ensure!(output.status.success(), "{peer}, {kind}: {errors}");
        Ok((said, errors))
    }

    fn instructions(&self, profiles: Option<&Path>) -> Result<u64> {
        let profile = profiles.map_or("/dev/null".into(), |directory| {
            let peer = self.peer.replace([' ', ','], "");
            directory.join(format!("callgrind.{peer}.{}", self.kind.name()))
        });
        let mut command = Command::new("taskset");
        command
            .args(["-c", PROCESSOR, "valgrind", "--tool=callgrind"])
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(std::env::current_exe()?);
        let (_, errors) = self
            .run(command)
            .context("are valgrind and taskset installed?")?;
        let mut lines = errors.lines();
        let count = lines.find_map(|line| line.split_once("Collected : "));
        let (_, count) = count.with_context(|| format!("callgrind's count in: {errors}"))?;
        Ok(count.trim().parse()?)
    }

    /// Returns the number of allocations, and the peak of allocated bytes.
    fn allocated(&self) -> Result<(u64, u64)> {
        let program = std::env::current_exe()?.with_file_name("allocations");
        let (said, _) = self.run(Command::new(program))?;
        let (count, bytes) = said.trim().split_once(' ').context("two counts")?;
        Ok((count.parse()?, bytes.parse()?))
    }
}

/// Runs the job of a child process.
pub fn child(url: &str, peer: &str, kind: Kind, size: Size, times: u64) -> Result<()> {
    let place = Place::server(Engine::Postgres, url)?;
    let contender = peers::of(place.engine).iter().find(|it| it.name == peer);
    let contender = contender.context("a peer of that name")?;
    contender.repeat(kind, &place, size, times)
}
