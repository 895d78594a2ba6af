//! Every metric moves by exactly the right amount, on every path. A metric that is not listed has
//! not moved.

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use metrics_util::debugging::DebuggingRecorder;
use txn::{Db, DbBuilder, Engine};

use super::*;
use crate::support::metrics_ledger::Ledger;
use crate::support::observer::Observed;
use crate::support::proxy::Proxy;

mod closings;
mod described;
mod drops;
mod ends;
mod dropped_at_every_point;
mod failures;
mod refusals;

/// A database whose sessions are counted, by way of a proxy where there is a wire.
pub(crate) struct Place {
    pub(crate) db: Db<DB>,
    pub(crate) fixture: Fixture<DB>,
    pub(crate) proxy: Option<Proxy>,
}

type Path = Box<dyn AsyncFnPath>;

/// One path through the runtime: how it is set up and taken, and the metrics that it moves.
pub(crate) struct Row {
    what: &'static str,
    setup: fn(DbBuilder<DB>) -> DbBuilder<DB>,
    path: Path,
    moves: &'static str,
}

pub(crate) trait AsyncFnPath {
    fn go<'a>(&'a self, place: &'a Place) -> LocalBoxFuture<'a, ()>;
}

impl<F: AsyncFn(&Place)> AsyncFnPath for F {
    fn go<'a>(&'a self, place: &'a Place) -> LocalBoxFuture<'a, ()> {
        self(place).boxed_local()
    }
}

/// Makes a row. `moves` has a line for each metric, in any order: `name{labels} amount`, and before
/// it, if it is not for all engines, the engines that it is for: `mysql|postgresql: name …`.
/// Amounts of one name are added up.
pub(crate) fn row(
    what: &'static str,
    path: impl AsyncFn(&Place) + 'static,
    moves: &'static str,
) -> Row {
    Row {
        what,
        setup: |builder| builder,
        path: Box::new(path),
        moves,
    }
}

impl Row {
    pub(crate) fn with(self, setup: fn(DbBuilder<DB>) -> DbBuilder<DB>) -> Self {
        Self { setup, ..self }
    }

    async fn check(&self) {
        let fixture = Fixture::<DB>::new().await;
        let (proxy, options) = DB::wired(fixture.place());
        let recorder = DebuggingRecorder::new();
        let _listening = metrics::set_default_local_recorder(&recorder);
        let mut ledger = Ledger::listen::<DB>(&recorder);
        let db = connect(&options, self.setup).await;
        let place = Place { db, fixture, proxy };
        ledger.moved();

        self.path.go(&place).await;

        place.db.settled().await;
        assert_eq!(ledger.moved(), expected(self.moves), "{}", self.what);
        ledger.assert_agrees_with(&place.db);
        place.db.close().await;
        ledger.moved();
        ledger.assert_agrees_with(&place.db);
    }
}

/// Checks all rows.
pub(crate) async fn check(rows: impl IntoIterator<Item = Row>) {
    for row in rows {
        row.check().await;
    }
}

/// Returns the lines that are for this engine, in order.
fn expected(moves: &str) -> Vec<String> {
    let mut totals = std::collections::BTreeMap::<&str, i64>::new();
    for line in moves.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (engines, line) = line.split_once(": ").unwrap_or((DB::SYSTEM, line));
        if engines.split('|').any(|engine| engine == DB::SYSTEM) {
            let (name, amount) = line.rsplit_once(' ').unwrap();
            *totals.entry(name).or_default() += amount.parse::<i64>().unwrap();
        }
    }
    let moved = totals.into_iter().filter(|(_, amount)| *amount != 0);
    moved.map(|(name, amount)| format!("{name} {amount}")).collect()
}
