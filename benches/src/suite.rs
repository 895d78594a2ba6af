//! Runs the cells. Every repetition runs each peer once, in turn.

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::ground::{Ground, Spot};
use crate::noise::{Meter, is_disturbed};
use crate::peers::{Contender, OURS};
use crate::plan::{Cell, Pace};
use crate::run::{Gauge, Order, Sample};

/// All samples of one peer in one cell.
#[derive(Serialize)]
pub struct Row {
    pub peer: &'static str,
    pub samples: Vec<Sample>,
}

/// A cell and its results.
#[derive(Serialize)]
pub struct Measured {
    #[serde(flatten)]
    pub cell: Cell,
    pub rows: Vec<Row>,
    /// Runs that were discarded because others were using the machine.
    pub repeated: usize,
    /// Runs that were kept although others were using the machine, after all retries.
    pub disturbed: usize,
}

/// Runs a cell.
pub fn measure(ground: &mut Ground, cell: &Cell, pace: Pace, retries: usize) -> Result<Measured> {
    let contenders = cell.contenders();
    let mut measured = Measured {
        cell: cell.clone(),
        rows: contenders.iter().map(empty).collect(),
        repeated: 0,
        disturbed: 0,
    };
    for _ in 0..pace.repetitions {
        for (at, contender) in contenders.iter().enumerate() {
            let sample = run_undisturbed(ground, cell, pace, contender, retries, &mut measured)
                .with_context(|| format!("{} in {}", contender.name, cell.label()))?;
            measured.rows[at].samples.push(sample);
        }
    }
    Ok(measured)
}

fn empty(contender: &Contender) -> Row {
    Row {
        peer: contender.name,
        samples: Vec::new(),
    }
}

/// Repeats a run that was disturbed, as often as `retries` allows.
fn run_undisturbed(
    ground: &mut Ground,
    cell: &Cell,
    pace: Pace,
    contender: &Contender,
    retries: usize,
    measured: &mut Measured,
) -> Result<Sample> {
    for _ in 0..retries {
        let sample = once(ground, cell, pace, contender)?;
        if !is_disturbed(sample.foreign) {
            return Ok(sample);
        }
        measured.repeated += 1;
    }
    let sample = once(ground, cell, pace, contender)?;
    measured.disturbed += usize::from(is_disturbed(sample.foreign));
    Ok(sample)
}

fn once(ground: &mut Ground, cell: &Cell, pace: Pace, contender: &Contender) -> Result<Sample> {
    let spot = ground.spot(cell.engine, cell.way)?;
    let order = Order {
        place: spot.place.clone(),
        direct: spot.direct.clone(),
        size: cell.size,
        warm_up: pace.warm_up * cell.longer,
        window: pace.window * cell.longer,
    };
    let mut gauges = Gauges::new(spot);
    let mut sample = contender.run(cell.kind, &order, &mut gauges)?;
    sample.foreign = gauges.foreign;
    sample.round_trips = gauges
        .round_trips
        .map(|trips| trips as f64 / sample.finished.max(1) as f64);
    ensure!(sample.finished > 0 || cell.kind.drops(), "nothing finished");
    // Some peers lose commits if futures are dropped. That is a result with them, and an error with
    // txn.
    let may_lose = cell.kind.drops() && contender.name != OURS;
    ensure!(
        sample.missing == 0 || may_lose,
        "{} transactions were reported as committed and are not there",
        sample.missing
    );
    Ok(sample)
}

/// Measures the machine and the proxy over the window.
struct Gauges<'a> {
    spot: Spot<'a>,
    before: Option<(Meter, u64)>,
    foreign: f64,
    round_trips: Option<u64>,
}

impl<'a> Gauges<'a> {
    fn new(spot: Spot<'a>) -> Self {
        Self {
            spot,
            before: None,
            foreign: 0.0,
            round_trips: None,
        }
    }

    fn read(&mut self) -> Result<(Meter, u64)> {
        let trips = match &mut self.spot.proxy {
            Some(proxy) => proxy.round_trips()?,
            None => 0,
        };
        Ok((Meter::read(&self.spot.pids)?, trips))
    }
}

impl Gauge for Gauges<'_> {
    fn begin(&mut self) -> Result<()> {
        self.before = Some(self.read()?);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let (now, trips) = self.read()?;
        let (before, trips_before) = self.before.context("begun")?;
        self.foreign = now.foreign_since(before);
        let counted = self.spot.proxy.is_some();
        self.round_trips = counted.then_some(trips - trips_before);
        Ok(())
    }
}
