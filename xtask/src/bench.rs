//! Launches the package in benches/, which is a workspace of its own: its peers cost only those who ask for them.

use std::ffi::OsString;

use crate::install;
use crate::steps::Steps;

pub(crate) fn run(steps: &mut Steps, arguments: &[OsString]) -> Option<()> {
    steps.step("look for the programs", install::for_benchmarks)?;
    steps.launch("benches/Cargo.toml", arguments)
}
