//! The cells that are measured.

use std::time::Duration;

use serde::Serialize;

use crate::peers::{self, Contender, DEADPOOL, DEFAULT, HELD, NO_PING, OURS, PIPELINED};
use crate::place::{Engine, Size};
use crate::workloads::Kind;

/// The route to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    Socket,
    Tcp,
    /// TCP, with a delay of half a millisecond each way.
    Far,
    File,
}

/// A cell of the plan: everything but the peer.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub engine: Engine,
    pub way: Way,
    pub kind: Kind,
    pub size: Size,
    /// The peers by name. It is empty for all peers of the engine.
    #[serde(skip)]
    pub peers: &'static [&'static str],
    /// The factor by which it runs longer than others.
    #[serde(skip)]
    pub longer: u32,
}

impl Cell {
    /// Returns the label that `--only` is matched against, as `postgres/tcp/touch/8x8`.
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

/// The duration and number of runs.
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

/// The peers that show the costs of a pool, of a ping and of a driver.
const CORE: &[&str] = &[OURS, HELD, DEFAULT, NO_PING, DEADPOOL, PIPELINED];
/// The peers that have a pool.
const POOLS: &[&str] = &[OURS, DEFAULT, NO_PING, DEADPOOL];
/// The peers that have savepoints and transaction modes.
const MODES: &[&str] = &[OURS, HELD, DEFAULT, DEADPOOL];
const ALL_PEERS: &[&str] = &[];

type Sizes = &'static [(usize, usize)];

const ONE: Sizes = &[(1, 1)];
const MAIN: Sizes = &[(8, 8), (64, 16)];
const FEW: Sizes = &[(1, 1), (8, 8), (64, 16)];
/// The sizes in addition to `MAIN`. The rest of the cross product teaches nothing new: one task
/// uses only one session, eight tasks use only eight, and sixty-four tasks on one session show the
/// same as eight, only more clearly.
const REST: Sizes = &[(1, 1), (64, 1), (64, 8)];
const BOTH: [Kind; 2] = [Kind::Touch, Kind::Transfer];

/// Returns the cells that people try first.
fn quick_cells() -> Vec<Cell> {
    [
        cells_of(Engine::Postgres, Way::Tcp, MAIN, &BOTH, CORE),
        cells_of(Engine::Postgres, Way::Far, ONE, &BOTH, CORE),
        cells_of(
            Engine::Sqlite,
            Way::File,
            &[(64, 8)],
            &[Kind::Transfer],
            ALL_PEERS,
        ),
    ]
    .concat()
}

/// Returns all cells. The rarer workloads and the slower peers are measured only where they are
/// informative.
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
        cells_of(Engine::Postgres, Way::Tcp, MAIN, &BOTH, ALL_PEERS),
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
        cells_of(Engine::MariaDb, Way::Tcp, MAIN, &BOTH, ALL_PEERS),
        cells_of(Engine::MariaDb, Way::Far, ONE, &BOTH, ALL_PEERS),
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
            ALL_PEERS,
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
