//! Launches the package in benches/. It is its own workspace, so that nobody else has to build the
//! libraries that it compares with.

use std::ffi::OsString;

use crate::install;
use crate::steps::Steps;

pub(crate) fn run(steps: &mut Steps, arguments: &[OsString]) -> Option<()> {
    steps.step("look for the programs", install::for_benchmarks)?;
    steps.launch("benches/Cargo.toml", arguments)
}
