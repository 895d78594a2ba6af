//! Handles that differ in one label.

use std::sync::OnceLock;

use ::metrics::{Counter, Gauge, Histogram, Label};

/// What can be registered under a name.
pub(super) trait Handle {
    fn register(name: &'static str, labels: Vec<Label>) -> Self;
}

impl Handle for Counter {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        ::metrics::counter!(name, labels)
    }
}

impl Handle for Gauge {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        ::metrics::gauge!(name, labels)
    }
}

impl Handle for Histogram {
    fn register(name: &'static str, labels: Vec<Label>) -> Self {
        ::metrics::histogram!(name, labels)
    }
}

pub(super) fn handle<H: Handle>(name: &'static str, labels: &[Label]) -> H {
    H::register(name, labels.to_vec())
}

/// One handle for each of `N` values of a label, registered when it is first needed: what never happens has no series.
pub(super) struct Family<H, const N: usize>([OnceLock<H>; N]);

impl<H: Handle, const N: usize> Family<H, N> {
    pub(super) fn new() -> Self {
        Self([const { OnceLock::new() }; N])
    }

    pub(super) fn at(
        &self,
        index: usize,
        name: &'static str,
        labels: impl FnOnce() -> Vec<Label>,
    ) -> &H {
        self.0[index].get_or_init(|| H::register(name, labels()))
    }
}
