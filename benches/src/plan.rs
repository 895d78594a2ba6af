//! Which cells are measured.

use std::time::Duration;

use serde::Serialize;

use crate::peers::{self, Contender};
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
    let (repetitions, window) = if quick { (3, 500) } else { (5, 800) };
    Pace {
        repetitions,
        warm_up: Duration::from_millis(150),
        window: Duration::from_millis(window),
    }
}

pub fn cells(quick: bool) -> Vec<Cell> {
    if quick { quick_cells() } else { all_cells() }
}

/// What people try first.
fn quick_cells() -> Vec<Cell> {
    let postgres = grid(
        Engine::Postgres,
        &[(Way::Tcp, &[(8, 8), (64, 16)]), (Way::Far, &[(1, 1)])],
        &[Kind::Touch, Kind::Transfer],
    );
    let sqlite = grid(
        Engine::Sqlite,
        &[(Way::File, &[(64, 8)])],
        &[Kind::Transfer],
    );
    [postgres, sqlite].concat()
}

/// Left out, because they teach nothing new: one task with more than one session (the others stay unused), eight tasks
/// with sixteen (eight stay unused) or with one (sixty-four show the same, more so).
fn all_cells() -> Vec<Cell> {
    let near: &[(usize, usize)] = &[(1, 1), (8, 8), (64, 1), (64, 8), (64, 16)];
    let few: &[(usize, usize)] = &[(1, 1), (8, 8), (64, 16)];
    let both = [Kind::Touch, Kind::Transfer];
    let postgres = [(Way::Tcp, near), (Way::Socket, &few[1..]), (Way::Far, few)];
    let mariadb = [(Way::Tcp, &few[1..]), (Way::Far, &few[..1])];
    let sqlite: [(Way, &[_]); 1] = [(Way::File, &[(1, 1), (64, 8)])];
    [
        grid(Engine::Postgres, &postgres, &both),
        grid(Engine::MariaDb, &mariadb, &both),
        grid(Engine::Sqlite, &sqlite, &both),
    ]
    .concat()
}

type Sizes = &'static [(usize, usize)];

fn grid(engine: Engine, ways: &[(Way, Sizes)], kinds: &[Kind]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &kind in kinds {
        for &(way, sizes) in ways {
            cells.extend(sizes.iter().map(|&(tasks, sessions)| Cell {
                engine,
                way,
                kind,
                size: Size { tasks, sessions },
                peers: &[],
            }));
        }
    }
    cells
}
