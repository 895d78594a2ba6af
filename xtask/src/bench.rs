//! Launches the package in benches/, which is a workspace of its own: its peers cost only those who ask for them.

use std::ffi::OsString;

use anyhow::Result;

use crate::install;
use crate::steps::Steps;

pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    install::for_benchmarks()?;
    Steps::new().launch("benches/Cargo.toml", arguments)
}
