//! The targets, and whether they are reached.

use serde::Serialize;

use crate::compile::Compiled;
use crate::count::Counted;
use crate::peers::{DEADPOOL, DEFAULT, HELD, IMMEDIATE, NO_PING, OURS};
use crate::place::Engine;
use crate::plan::Way;
use crate::run::Sample;
use crate::suite::Measured;
use crate::summary::Spread;
use crate::workloads::Kind;

/// All results of a run.
pub struct Results<'a> {
    pub measured: &'a [Measured],
    pub counted: Option<&'a Counted>,
    pub compiled: Option<&'a Compiled>,
}

/// One target.
#[derive(Serialize)]
pub struct Target {
    pub figure: String,
    pub wanted: String,
    /// `None` if it was not measured in this run.
    pub found: Option<Spread>,
    pub reached: Option<bool>,
}

#[derive(Clone, Copy)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Limit {
    fn text(self) -> String {
        match self {
            Self::AtLeast(limit) => format!("≥ {limit}"),
            Self::AtMost(limit) => format!("≤ {limit}"),
        }
    }

    fn is_kept(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        }
    }
}

use Limit::{AtLeast, AtMost};

fn target(figure: impl Into<String>, limit: Limit, found: Option<Spread>) -> Target {
    Target {
        figure: figure.into(),
        wanted: limit.text(),
        reached: found.map(|found| limit.is_kept(found.median)),
        found,
    }
}

/// Checks every target.
pub fn check(results: &Results<'_>) -> Vec<Target> {
    let parts = [
        round_trips(results),
        throughput(results, Kind::Touch, &TOUCH),
        throughput(results, Kind::Transfer, &TRANSFER),
        processor(results),
        counts(results),
        sqlite(results),
        herd(results),
        cancel(results),
        compile(results),
    ];
    parts.into_iter().flatten().collect()
}

impl Results<'_> {
    fn cell(&self, engine: Engine, way: Way, kind: Kind, tasks: usize) -> Option<&Measured> {
        // If there are several, this is the one with the largest pool.
        let cells = self.measured.iter().filter(|it| {
            let cell = &it.cell;
            let size = cell.size.tasks == tasks;
            cell.engine == engine && cell.way == way && cell.kind == kind && size
        });
        cells.max_by_key(|it| it.cell.size.sessions)
    }

    fn ours(
        &self,
        at: (Engine, Way, Kind, usize),
        of: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Spread> {
        self.cell(at.0, at.1, at.2, at.3)?.row(OURS)?.spread(of)
    }

    fn instructions(&self, kind: Kind, peer: &str) -> Option<f64> {
        Some(self.counted?.cost(kind, peer)?.instructions)
    }

    fn allocations(&self, kind: Kind, peer: &str) -> Option<f64> {
        Some(self.counted?.cost(kind, peer)?.allocations)
    }
}

fn exact(value: Option<f64>) -> Option<Spread> {
    Spread::of(value)
}

/// The tolerance for transactions that are only partly in the window. A whole round trip more would
/// still be noticed.
const EDGE: f64 = 0.25;

fn round_trips(results: &Results<'_>) -> Vec<Target> {
    let trips =
        |engine, kind| results.ours((engine, Way::Far, kind, 1), |it: &Sample| it.round_trips);
    let mut targets = Vec::new();
    for engine in [Engine::Postgres, Engine::MariaDb] {
        for (kind, limit) in [(Kind::Touch, 3.0), (Kind::Transfer, 5.0)] {
            let figure = format!("round trips, {engine:?}, {}", kind.name());
            targets.push(target(figure, AtMost(limit + EDGE), trips(engine, kind)));
        }
        // There are three nested scopes in the transaction, each with one statement.
        let nested = trips(engine, Kind::Nested3).map(|it| it.median);
        let each = nested.map(|trips| (trips - 2.0 - 3.0) / 3.0);
        let figure = format!("round trips of a nested scope, {engine:?}");
        targets.push(target(figure, AtMost(1.0 + EDGE), exact(each)));
    }
    targets
}

const TOUCH: [(&str, f64); 4] = [
    (HELD, 0.95),
    (DEFAULT, 1.4),
    (NO_PING, 1.25),
    (DEADPOOL, 1.15),
];
const TRANSFER: [(&str, f64); 3] = [(HELD, 0.95), (DEFAULT, 1.05), (DEADPOOL, 1.0)];

fn throughput(results: &Results<'_>, kind: Kind, wanted: &[(&str, f64)]) -> Vec<Target> {
    let rate = |it: &Sample| Some(it.per_second);
    against(results, kind, "tx/s", wanted, AtLeast, rate)
}

fn processor(results: &Results<'_>) -> Vec<Target> {
    let wanted = [(DEFAULT, 0.62), (DEADPOOL, 0.9), (HELD, 1.1)];
    against(results, Kind::Touch, "client CPU", &wanted, AtMost, |it| {
        it.cpu
    })
}

fn against(
    results: &Results<'_>,
    kind: Kind,
    what: &str,
    wanted: &[(&str, f64)],
    limit: fn(f64) -> Limit,
    of: fn(&Sample) -> Option<f64>,
) -> Vec<Target> {
    let mut targets = Vec::new();
    for tasks in [8, 64] {
        for &(peer, ratio) in wanted {
            let cell = results.cell(Engine::Postgres, Way::Tcp, kind, tasks);
            let found = cell.and_then(|cell| cell.ratio(peer, of));
            let figure = format!("{what}, {}, {tasks} tasks, × {peer}", kind.name());
            targets.push(target(figure, limit(ratio), found));
        }
    }
    targets
}

fn counts(results: &Results<'_>) -> Vec<Target> {
    let more = |of: &dyn Fn(Kind, &str) -> Option<f64>, a: (Kind, &str), b: (Kind, &str)| {
        exact(of(a.0, a.1).zip(of(b.0, b.1)).map(|(a, b)| a - b))
    };
    let instructions = |kind, peer: &str| results.instructions(kind, peer);
    let allocations = |kind, peer: &str| results.allocations(kind, peer);
    let joined = ((Kind::Joined10, OURS), (Kind::Touch, OURS));
    let root = ((Kind::Empty, OURS), (Kind::Empty, HELD));
    let each = more(&instructions, joined.0, joined.1).map(|it| it.median / 10.0);
    vec![
        target(
            "joined scope, allocations",
            AtMost(0.0),
            more(&allocations, joined.0, joined.1),
        ),
        target("joined scope, instructions", AtMost(200.0), exact(each)),
        target(
            "root scope, allocations more",
            AtMost(4.0),
            more(&allocations, root.0, root.1),
        ),
        target(
            "root scope, instructions more",
            AtMost(3000.0),
            more(&instructions, root.0, root.1),
        ),
    ]
}

fn sqlite(results: &Results<'_>) -> Vec<Target> {
    let rate = |it: &Sample| Some(it.per_second);
    let better = |cell: &Measured| {
        let of = |peer| cell.row(peer).and_then(|row| row.median(rate));
        match of(DEFAULT) > of(IMMEDIATE) {
            true => DEFAULT,
            false => IMMEDIATE,
        }
    };
    let cell = |tasks| results.cell(Engine::Sqlite, Way::File, Kind::Transfer, tasks);
    let ratio = |tasks, of: fn(&Sample) -> Option<f64>| {
        let cell = cell(tasks)?;
        cell.ratio(better(cell), of)
    };
    let ours = (Engine::Sqlite, Way::File, Kind::Transfer, 64);
    vec![
        target(
            "SQLite, 64 writers, tx/s × sqlx",
            AtLeast(1.0),
            ratio(64, rate),
        ),
        target(
            "SQLite, 64 writers, p99 × sqlx",
            AtMost(0.6),
            ratio(64, |it| Some(it.p99)),
        ),
        target(
            "SQLite, 64 writers, worst × sqlx",
            AtMost(0.2),
            ratio(64, |it| Some(it.worst)),
        ),
        target(
            "SQLite, 64 writers, busy errors",
            AtMost(0.0),
            results.ours(ours, |it| Some(it.busy as f64)),
        ),
        target(
            "SQLite, 1 writer, tx/s × sqlx",
            AtLeast(0.95),
            ratio(1, rate),
        ),
    ]
}

fn herd(results: &Results<'_>) -> Vec<Target> {
    let at = (Engine::Postgres, Way::Tcp, Kind::Touch, 10_000);
    let memory = results.counted.and_then(|counted| {
        let ours = counted.memory.iter().find(|it| it.peer == OURS);
        ours.map(|it| it.bytes)
    });
    vec![
        target(
            "herd, p99 ÷ p50",
            AtMost(3.0),
            results.ours(at, |it| Some(it.p99 / it.p50)),
        ),
        target(
            "herd, fewest of a task",
            AtLeast(1.0),
            results.ours(at, |it| Some(it.fewest as f64)),
        ),
        target(
            "herd, bytes per waiting task",
            AtMost(2048.0),
            exact(memory),
        ),
    ]
}

fn cancel(results: &Results<'_>) -> Vec<Target> {
    let at = |kind| (Engine::Postgres, Way::Tcp, kind, 64);
    let rate = |kind| results.ours(at(kind), |it| Some(it.per_second));
    let kept = rate(Kind::Cancel).zip(rate(Kind::Transfer));
    let kept = kept.map(|(dropped, whole)| dropped.median / whole.median);
    let killed = |peer: &str| {
        let cell = results.cell(Engine::Postgres, Way::Tcp, Kind::Killed, 64)?;
        cell.row(peer)?.median(|it| {
            let all = (it.finished + it.dropped).max(1) as f64;
            Some(4_000.0 * it.finished as f64 / all)
        })
    };
    let deadpool = killed(DEADPOOL);
    let limit = AtLeast(deadpool.unwrap_or(0.0).round());
    vec![
        target("cancel, tx/s × without drops", AtLeast(0.8), exact(kept)),
        target(
            "killed, finished of 4,000 (as deadpool)",
            limit,
            exact(killed(OURS)),
        ),
    ]
}

fn compile(results: &Results<'_>) -> Vec<Target> {
    let ratio = results.compiled.map(|it| it.ratio);
    let each = results.compiled.map(|it| it.macro_millis);
    vec![
        target("cargo check, 500 functions, × by hand", AtMost(1.25), ratio),
        target("macro, ms per function", AtMost(0.3), exact(each)),
    ]
}
