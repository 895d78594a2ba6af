//! Who is measured.

mod deadpool;
mod pipelined;
mod sqlx_held;
mod sqlx_pool;
mod statements;
mod txn;

use anyhow::Result;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{MySql, Postgres, Sqlite};

use self::deadpool::Deadpool;
use self::pipelined::Pipelined;
use self::sqlx_held::SqlxHeld;
use self::sqlx_pool::{Immediate, Plain, SqlxPool, Unasked};
use crate::count;
use crate::peer::Peer;
use crate::place::{Engine, Place};
use crate::run::{self, Gauge, Order, Sample};
use crate::workloads::{Contended, Empty, Joined, Kind, Nested, ReadOnly, Touch, Transfers};

/// One peer, as the plan sees it.
#[derive(Clone, Copy)]
pub struct Contender {
    pub name: &'static str,
    run: fn(Kind, &Order, &mut dyn Gauge) -> Result<Sample>,
    repeat: fn(Kind, &Place, u64) -> Result<()>,
}

/// By this name everybody else is compared.
pub const OURS: &str = "txn";

pub const HELD: &str = "sqlx, held";
pub const DEFAULT: &str = "sqlx";
pub const UNASKED: &str = "sqlx, no ping";
pub const IMMEDIATE: &str = "sqlx, IMMEDIATE";
pub const DEADPOOL: &str = "deadpool-postgres";
pub const PIPELINED: &str = "BEGIN pipelined";

impl Contender {
    const fn new<P: Peer>(name: &'static str) -> Self {
        Self {
            name,
            run: run_kind::<P>,
            repeat: count::repeat::<P>,
        }
    }

    pub fn run(&self, kind: Kind, order: &Order, gauge: &mut dyn Gauge) -> Result<Sample> {
        (self.run)(kind, order, gauge)
    }

    /// One task, so many times, and nothing else.
    pub fn repeat(&self, kind: Kind, place: &Place, times: u64) -> Result<()> {
        (self.repeat)(kind, place, times)
    }
}

fn run_kind<P: Peer>(kind: Kind, order: &Order, gauge: &mut dyn Gauge) -> Result<Sample> {
    match kind {
        Kind::Empty => run::run::<P, Empty>(order, gauge),
        Kind::Touch => run::run::<P, Touch>(order, gauge),
        Kind::Transfer => run::run::<P, Transfers>(order, gauge),
        Kind::ReadOnly => run::run::<P, ReadOnly>(order, gauge),
        Kind::Joined => run::run::<P, Joined>(order, gauge),
        Kind::Nested => run::run::<P, Nested>(order, gauge),
        Kind::Contended => run::run::<P, Contended>(order, gauge),
    }
}

/// All that there are for an engine, in the order in which they are run and shown.
pub fn of(engine: Engine) -> &'static [Contender] {
    match engine {
        Engine::Postgres => const { &POSTGRES },
        Engine::MariaDb => const { &MARIADB },
        Engine::Sqlite => const { &SQLITE },
    }
}

const POSTGRES: [Contender; 6] = [
    Contender::new::<txn::postgres::Txn>(OURS),
    Contender::new::<SqlxHeld<Postgres>>(HELD),
    Contender::new::<SqlxPool<Postgres, Plain>>(DEFAULT),
    Contender::new::<SqlxPool<Postgres, Unasked>>(UNASKED),
    Contender::new::<Deadpool>(DEADPOOL),
    Contender::new::<Pipelined>(PIPELINED),
];

const MARIADB: [Contender; 4] = [
    Contender::new::<txn::mariadb::Txn>(OURS),
    Contender::new::<SqlxHeld<MySql>>(HELD),
    Contender::new::<SqlxPool<MySql, Plain>>(DEFAULT),
    Contender::new::<SqlxPool<MySql, Unasked>>(UNASKED),
];

const SQLITE: [Contender; 3] = [
    Contender::new::<txn::sqlite::Txn>(OURS),
    Contender::new::<SqlxPool<Sqlite, Plain>>(DEFAULT),
    Contender::new::<SqlxPool<Sqlite, Immediate>>(IMMEDIATE),
];

/// The same for all who use SQLite.
pub fn sqlite_options(place: &Place) -> Result<SqliteConnectOptions> {
    let options: SqliteConnectOptions = place.url.parse()?;
    Ok(options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal))
}
