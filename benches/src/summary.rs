//! Summaries of samples.

use serde::{Deserialize, Serialize};
use statrs::statistics::{Data, Max, Min, OrderStatistics};

use crate::peers::OURS;
use crate::run::Sample;
use crate::suite::{Measured, Row};

/// The median and the range of the repetitions.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        if values.is_empty() {
            return None;
        }
        let mut data = Data::new(values);
        Some(Self {
            median: data.median(),
            min: data.min(),
            max: data.max(),
        })
    }
}

impl Row {
    pub fn spread(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(of))
    }

    pub fn median(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        self.spread(of).map(|spread| spread.median)
    }
}

impl Measured {
    pub fn row(&self, peer: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.peer == peer)
    }

    /// Returns the ratio of txn to `peer`.
    ///
    /// It is the median of the ratios of runs that were neighbours, so that slow changes on the
    /// machine affect both alike.
    pub fn ratio(&self, peer: &str, of: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        let ours = self.row(OURS)?.samples.iter().map(&of);
        let theirs = self.row(peer)?.samples.iter().map(&of);
        let ratios = ours.zip(theirs);
        Spread::of(ratios.filter_map(|(ours, theirs)| Some(ours? / theirs?)))
    }
}
