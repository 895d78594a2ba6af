//! Instructions and allocations of the client per transaction: figures that a busy machine does not change.
//!
//! A child process runs a workload so many times, under callgrind, once few and once many: the difference is what one
//! costs, without what it takes to start.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use fastrand::Rng;

use crate::ground::Ground;
use crate::peer::Peer;
use crate::peers::{self, Contender, DEADPOOL, DEFAULT, HELD, OURS, PIPELINED, UNASKED};
use crate::place::{Engine, Place, Size};
use crate::plan::{Cell, Way};
use crate::workloads::{
    Contended, Empty, Joined, Kind, Nested, ReadOnly, Touch, Transfers, Workload,
};

const FEW: u64 = 200;
const MANY: u64 = 1200;

const COUNTED: [(Kind, &[&str]); 6] = [
    (Kind::Empty, &[OURS, HELD, DEFAULT, UNASKED, DEADPOOL]),
    (
        Kind::Touch,
        &[OURS, HELD, DEFAULT, UNASKED, DEADPOOL, PIPELINED],
    ),
    (
        Kind::Transfer,
        &[OURS, HELD, DEFAULT, UNASKED, DEADPOOL, PIPELINED],
    ),
    (Kind::ReadOnly, &[OURS, HELD]),
    (Kind::Joined, &[OURS]),
    (Kind::Nested, &[OURS, HELD, DEADPOOL]),
];

/// What one transaction costs.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Cost {
    pub instructions: f64,
    pub allocations: f64,
}

/// Counts all of [`COUNTED`] and prints them.
pub fn run(profiles: Option<&Path>) -> Result<()> {
    let mut ground = Ground::default();
    let cell = Cell {
        engine: Engine::Postgres,
        way: Way::Socket,
        kind: Kind::Touch,
        size: ONE,
        peers: &[],
    };
    let place = ground.spot(&cell)?.place;
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["workload", "peer", "instructions", "allocations"]);
    for (kind, names) in COUNTED {
        for name in names {
            let cost = cost(&place, name, kind, profiles)?;
            table.add_row([
                kind.name().to_owned(),
                (*name).to_owned(),
                format!("{:.0}", cost.instructions),
                format!("{:.1}", cost.allocations),
            ]);
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    Ok(())
}

const ONE: Size = Size {
    tasks: 1,
    sessions: 1,
};

fn cost(place: &Place, peer: &str, kind: Kind, profiles: Option<&Path>) -> Result<Cost> {
    let few = totals(place, peer, kind, FEW, None)?;
    let many = totals(place, peer, kind, MANY, profiles)?;
    let each = |few: u64, many: u64| many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
    Ok(Cost {
        instructions: each(few.0, many.0),
        allocations: each(few.1, many.1),
    })
}

/// Instructions and allocations of a process that runs it `times` times.
fn totals(
    place: &Place,
    peer: &str,
    kind: Kind,
    times: u64,
    profiles: Option<&Path>,
) -> Result<(u64, u64)> {
    let profile = profiles.map_or("/dev/null".into(), |directory| {
        let peer = peer.replace([' ', ','], "");
        directory.join(format!("callgrind.{peer}.{}", kind.name()))
    });
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args(["repeat", &place.url, peer, kind.name(), &times.to_string()])
        .output()
        .context("run valgrind; install it with `apt-get install valgrind`")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{peer}, {}: {errors}", kind.name());
    let instructions = errors
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .with_context(|| format!("callgrind's count in: {errors}"))?;
    let allocations = String::from_utf8_lossy(&output.stdout);
    Ok((instructions, allocations.trim().parse()?))
}

/// The child process; prints how many allocations there were.
pub fn child(url: &str, peer: &str, kind: Kind, times: u64) -> Result<()> {
    let place = Place::server(Engine::Postgres, url)?;
    let contender = peers::of(place.engine).iter().find(|it| it.name == peer);
    let contender: &Contender = contender.context("a peer of that name")?;
    let mut result = Ok(());
    let counted = allocation_counter::measure(|| result = contender.repeat(kind, &place, times));
    println!("{}", counted.count_total);
    result
}

/// One task on one thread.
pub fn repeat<P: Peer>(kind: Kind, place: &Place, times: u64) -> Result<()> {
    match kind {
        Kind::Empty => repeat_one::<P, Empty>(place, times),
        Kind::Touch => repeat_one::<P, Touch>(place, times),
        Kind::Transfer => repeat_one::<P, Transfers>(place, times),
        Kind::ReadOnly => repeat_one::<P, ReadOnly>(place, times),
        Kind::Joined => repeat_one::<P, Joined>(place, times),
        Kind::Nested => repeat_one::<P, Nested>(place, times),
        Kind::Contended => repeat_one::<P, Contended>(place, times),
    }
}

fn repeat_one<P: Peer, W: Workload>(place: &Place, times: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut peers = P::open(place, ONE).await?;
        let peer = peers.first_mut().context("one task")?;
        let mut rng = Rng::with_seed(1);
        for _ in 0..times {
            W::once(peer, &mut rng).await?;
        }
        Ok(())
    })
}
