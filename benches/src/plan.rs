//! Which cells are measured.

use std::time::Duration;

use serde::Serialize;

use crate::peers::{self, Contender, DEADPOOL, DEFAULT, HELD, OURS, PIPELINED, UNASKED};
use crate::place::{Engine, Size};
use crate::workloads::Kind;

/// The way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    Socket,
    Tcp,
    /// TCP, half a millisecond each way.
    Far,
    File,
}

/// One place in the table: everything but the peer.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub engine: Engine,
    pub way: Way,
    pub kind: Kind,
    pub size: Size,
    /// Empty for all that the engine has.
    #[serde(skip)]
    pub peers: &'static [&'static str],
    /// How much longer than others it is run.
    #[serde(skip)]
    pub longer: u32,
}

impl Cell {
    /// `postgres/tcp/touch/8x8`: what the argument `--only` looks into.
    pub fn label(&self) -> String {
        let Size { tasks, sessions } = self.size;
        let engine = format!("{:?}", self.engine).to_lowercase();
        let way = format!("{:?}", self.way).to_lowercase();
        format!("{engine}/{way}/{}/{tasks}x{sessions}", self.kind.name())
    }

    pub fn contenders(&self) -> Vec<Contender> {
        let all = peers::of(self.engine).iter().copied();
        all.filter(|peer| self.peers.is_empty() || self.peers.contains(&peer.name))
            .filter(|peer| peer.absence().is_none())
            .collect()
    }
}

/// How long, and how often.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pace {
    pub repetitions: usize,
    pub warm_up: Duration,
    pub window: Duration,
}

pub fn pace(quick: bool) -> Pace {
    let (repetitions, window) = if quick { (3, 500) } else { (5, 700) };
    Pace {
        repetitions,
        warm_up: Duration::from_millis(150),
        window: Duration::from_millis(window),
    }
}

pub fn cells(quick: bool) -> Vec<Cell> {
    if quick { quick_cells() } else { all_cells() }
}

/// Who shows what a pool, a ping and a driver cost.
const CORE: &[&str] = &[OURS, HELD, DEFAULT, UNASKED, DEADPOOL, PIPELINED];
/// Who has a pool.
const POOLS: &[&str] = &[OURS, DEFAULT, UNASKED, DEADPOOL];
/// Who has savepoints and modes.
const MODES: &[&str] = &[OURS, HELD, DEFAULT, DEADPOOL];
const EVERYBODY: &[&str] = &[];

type Sizes = &'static [(usize, usize)];

const ONE: Sizes = &[(1, 1)];
const MAIN: Sizes = &[(8, 8), (64, 16)];
const FEW: Sizes = &[(1, 1), (8, 8), (64, 16)];
/// Left out of the cross product, because they teach nothing new: one task with more than one session (the others stay
/// unused), eight tasks with sixteen (eight stay unused) or with one (sixty-four show the same, more so).
const REST: Sizes = &[(1, 1), (64, 1), (64, 8)];
const BOTH: [Kind; 2] = [Kind::Touch, Kind::Transfer];

/// What people try first.
fn quick_cells() -> Vec<Cell> {
    [
        cells_of(Engine::Postgres, Way::Tcp, MAIN, &BOTH, CORE),
        cells_of(Engine::Postgres, Way::Far, ONE, &BOTH, CORE),
        cells_of(
            Engine::Sqlite,
            Way::File,
            &[(64, 8)],
            &[Kind::Transfer],
            EVERYBODY,
        ),
    ]
    .concat()
}

/// The rarer workloads, and the slower peers, are measured where they say something.
fn all_cells() -> Vec<Cell> {
    let modes = [Kind::ReadOnly, Kind::Nested3];
    let herd = cells_of(
        Engine::Postgres,
        Way::Tcp,
        &[(10_000, 16)],
        &[Kind::Touch],
        POOLS,
    );
    [
        cells_of(Engine::Postgres, Way::Tcp, MAIN, &BOTH, EVERYBODY),
        cells_of(Engine::Postgres, Way::Tcp, REST, &BOTH, CORE),
        cells_of(Engine::Postgres, Way::Socket, MAIN, &BOTH, CORE),
        cells_of(Engine::Postgres, Way::Far, FEW, &BOTH, CORE),
        cells_of(Engine::Postgres, Way::Tcp, &[(8, 8)], &modes, MODES),
        cells_of(Engine::Postgres, Way::Far, ONE, &modes, MODES),
        cells_of(
            Engine::Postgres,
            Way::Tcp,
            &[(8, 8)],
            &[Kind::Joined10],
            &[OURS, HELD, DEFAULT],
        ),
        cells_of(
            Engine::Postgres,
            Way::Tcp,
            &[(64, 16)],
            &[Kind::Contended],
            POOLS,
        ),
        cells_of(
            Engine::Postgres,
            Way::Tcp,
            &[(64, 16)],
            &[Kind::Cancel, Kind::Killed],
            POOLS,
        ),
        herd.into_iter()
            .map(|cell| Cell { longer: 4, ..cell })
            .collect(),
        cells_of(Engine::MariaDb, Way::Tcp, MAIN, &BOTH, EVERYBODY),
        cells_of(Engine::MariaDb, Way::Far, ONE, &BOTH, EVERYBODY),
        cells_of(
            Engine::MariaDb,
            Way::Far,
            ONE,
            &[Kind::Nested3],
            &[OURS, HELD],
        ),
        cells_of(
            Engine::Sqlite,
            Way::File,
            &[(1, 1), (64, 8)],
            &BOTH,
            EVERYBODY,
        ),
    ]
    .concat()
}

fn cells_of(
    engine: Engine,
    way: Way,
    sizes: Sizes,
    kinds: &[Kind],
    peers: &'static [&'static str],
) -> Vec<Cell> {
    let cell = |kind, &(tasks, sessions): &(usize, usize)| Cell {
        engine,
        way,
        kind,
        size: Size { tasks, sessions },
        peers,
        longer: 1,
    };
    let of_kind = |&kind| sizes.iter().map(move |size| cell(kind, size));
    kinds.iter().flat_map(of_kind).collect()
}
