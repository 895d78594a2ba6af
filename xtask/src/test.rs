//! Everything that must hold before a change goes in.

use anyhow::Result;
use txn_test_servers::Run;

use crate::examples;
use crate::steps::Steps;
use crate::{install, instructions};

const CHECKS: [&str; 3] = [
    "fmt --all --check",
    "fmt --manifest-path benches/Cargo.toml --check",
    "clippy --workspace --all-targets --all-features -- -D warnings",
];

/// `--all-targets` leaves the documentation's tests out, so they are a step of their own.
const TESTS: [&str; 2] = [
    "test --workspace --all-features --all-targets",
    "test --workspace --all-features --doc",
];

const ENGINES: [&str; 3] = ["sqlite", "postgres", "mysql"];

pub(crate) fn run(may_install: bool) -> Result<()> {
    let mut steps = Steps::new();
    steps.step("look for the servers and programs", || {
        install::for_tests(may_install)
    })?;
    // Ended by its `Drop`, so also when a step fails; by its supervisors if we are killed.
    let servers = steps.step("start the database servers", || Ok(Run::start()?))?;
    steps.export(servers.environment()?);
    check(&mut steps)?;
    TESTS.iter().try_for_each(|test| steps.cargo(test))?;
    each_feature(&mut steps)?;
    examples::run(&mut steps)?;
    instructions::run(&mut steps)?;
    steps.step("stop the database servers", || {
        drop(servers);
        Ok(())
    })?;
    println!("\n{}", steps.summary());
    Ok(())
}

/// Accepts what the compiler says now; the difference is for the author to read.
pub(crate) fn refresh_ui() -> Result<()> {
    Steps::new().cargo_with(
        "test --package txn-rs --all-features --test ui",
        &[],
        &[("TRYBUILD", "overwrite")],
    )
}

fn check(steps: &mut Steps) -> Result<()> {
    CHECKS.iter().try_for_each(|check| steps.cargo(check))?;
    steps.cargo_with(
        "doc --workspace --no-deps --all-features",
        &[],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}

/// Every engine alone, and none: what one feature needs may be there only thanks to another.
fn each_feature(steps: &mut Steps) -> Result<()> {
    const ALONE: &str = "clippy --package txn-rs --package txn-runtime --no-default-features";
    steps.cargo(&format!("{ALONE} -- -D warnings"))?;
    ENGINES
        .iter()
        .try_for_each(|engine| steps.cargo(&format!("{ALONE} --features {engine} -- -D warnings")))
}
