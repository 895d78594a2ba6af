//! The peers that are measured.

mod deadpool;
mod diesel;
mod external;
mod mysql_async;
mod pgbench;
mod pipelined;
mod rusqlite;
mod sea_orm;
mod sqlalchemy;
mod sqlx_held;
mod sqlx_pool;
mod statements;
mod txn;

use anyhow::{Context, Result};
use sqlx::{MySql, Postgres, Sqlite};

use self::deadpool::Deadpool;
use self::diesel::Diesel;
use self::mysql_async::MySqlAsync;
use self::pipelined::Pipelined;
use self::rusqlite::Rusqlite;
use self::sea_orm::SeaOrm;
use self::sqlx_held::SqlxHeld;
use self::sqlx_pool::{Immediate, NoPing, Plain, SqlxPool};
pub use self::txn::Settling;
use crate::peer::Peer;
use crate::place::{Engine, Place, Size};
use crate::run::{Gauge, Order, Sample, repeat, run};
use crate::with_workload;
use crate::workloads::Kind;

/// A peer with its name, as the plan refers to it.
#[derive(Clone, Copy)]
pub struct Contender {
    pub name: &'static str,
    run: fn(Kind, &Order, &mut dyn Gauge) -> Result<Sample>,
    repeat: Option<Repeat>,
    /// Returns the reason that the peer cannot be run here, if there is one.
    absence: fn() -> Option<String>,
}

type Repeat = fn(Kind, &Place, Size, u64) -> Result<()>;

/// The peer that all others are compared with.
pub const OURS: &str = "txn";

pub const HELD: &str = "sqlx, held";
pub const DEFAULT: &str = "sqlx";
pub const NO_PING: &str = "sqlx, no ping";
pub const IMMEDIATE: &str = "sqlx, IMMEDIATE";
pub const DEADPOOL: &str = "deadpool-postgres";
pub const PIPELINED: &str = "BEGIN pipelined";

impl Contender {
    const fn new<P: Peer>(name: &'static str) -> Self {
        Self {
            name,
            run: run_kind::<P>,
            repeat: Some(repeat::<P>),
            absence: || None,
        }
    }

    pub fn run(&self, kind: Kind, order: &Order, gauge: &mut dyn Gauge) -> Result<Sample> {
        (self.run)(kind, order, gauge)
    }

    /// Runs the workload `times` times in one thread, and nothing else.
    pub fn repeat(&self, kind: Kind, place: &Place, size: Size, times: u64) -> Result<()> {
        let repeat = self.repeat.context("not a program of its own")?;
        repeat(kind, place, size, times)
    }

    pub fn absence(&self) -> Option<String> {
        (self.absence)()
    }
}

fn run_kind<P: Peer>(kind: Kind, order: &Order, gauge: &mut dyn Gauge) -> Result<Sample> {
    with_workload!(kind, run::<P>(order, gauge))
}

/// Returns all peers of an engine, in the order in which they are run and shown.
pub fn of(engine: Engine) -> &'static [Contender] {
    match engine {
        Engine::Postgres => const { &POSTGRES },
        Engine::MariaDb => const { &MARIADB },
        Engine::Sqlite => const { &SQLITE },
    }
}

const POSTGRES: [Contender; 10] = [
    Contender::new::<txn::postgres::Txn>(OURS),
    Contender::new::<SqlxHeld<Postgres>>(HELD),
    Contender::new::<SqlxPool<Postgres, Plain>>(DEFAULT),
    Contender::new::<SqlxPool<Postgres, NoPing>>(NO_PING),
    Contender::new::<Deadpool>(DEADPOOL),
    Contender::new::<Pipelined>(PIPELINED),
    Contender::new::<SeaOrm>("sea-orm"),
    Contender::new::<Diesel>("diesel-async"),
    Contender {
        name: "pgbench",
        run: pgbench::run,
        repeat: None,
        absence: pgbench::absence,
    },
    Contender {
        name: "SQLAlchemy",
        run: sqlalchemy::run,
        repeat: None,
        absence: sqlalchemy::absence,
    },
];

const MARIADB: [Contender; 5] = [
    Contender::new::<txn::mariadb::Txn>(OURS),
    Contender::new::<SqlxHeld<MySql>>(HELD),
    Contender::new::<SqlxPool<MySql, Plain>>(DEFAULT),
    Contender::new::<SqlxPool<MySql, NoPing>>(NO_PING),
    Contender::new::<MySqlAsync>("mysql_async"),
];

const SQLITE: [Contender; 4] = [
    Contender::new::<txn::sqlite::Txn>(OURS),
    Contender::new::<SqlxPool<Sqlite, Plain>>(DEFAULT),
    Contender::new::<SqlxPool<Sqlite, Immediate>>(IMMEDIATE),
    Contender::new::<Rusqlite>("rusqlite, one thread"),
];
