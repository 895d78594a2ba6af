//! Runs every check that must pass before a change is merged.

use std::env;
use std::thread::available_parallelism;

use txn_test_servers::Run;

use crate::examples;
use crate::steps::Steps;
use crate::{install, instructions, layers};

const CHECKS: [&str; 3] = [
    "fmt --all --check",
    "fmt --manifest-path benches/Cargo.toml --check",
    "clippy --workspace --all-targets --all-features -- -D warnings",
];

/// The test commands. Documentation tests are a separate step, because `--all-targets` excludes
/// them.
const TESTS: [&str; 2] = [
    "test --workspace --all-features --all-targets",
    "test --workspace --all-features --doc",
];

const ENGINES: [&str; 3] = ["sqlite", "postgres", "mysql"];

pub(crate) fn run(steps: &mut Steps, may_install: bool) {
    let installed = steps.step("look for the servers and programs", || {
        install::for_tests(may_install)
    });
    check(steps);
    each_feature(steps);
    if installed.is_some() {
        on_servers(steps);
    }
}

/// Runs the tests on servers, which are ended by their `Drop`, or by their supervisors if this
/// process is killed.
fn on_servers(steps: &mut Steps) -> Option<()> {
    let start = || {
        let servers = Run::start()?;
        Ok((servers.environment()?, servers))
    };
    let (environment, servers) = steps.step("start the database servers", start)?;
    steps.export(environment);
    steps.export(test_threads());
    for test in TESTS {
        steps.test(test);
    }
    examples::run(steps);
    instructions::run(steps);
    steps.step("stop the database servers", || {
        drop(servers);
        Ok(())
    })
}

/// Says how many tests run at a time, unless whoever calls has said so. Most of them wait for a
/// server for most of the time, so it is two for each processor.
fn test_threads() -> Option<(&'static str, String)> {
    const THREADS: &str = "RUST_TEST_THREADS";
    let processors = available_parallelism().ok()?.get();
    let is_unset = env::var_os(THREADS).is_none();
    is_unset.then(|| (THREADS, (processors * 2).to_string()))
}

/// Accepts the current output of the compiler. The author has to review the difference.
pub(crate) fn refresh_ui(steps: &mut Steps) {
    steps.cargo_with(
        "test --package txn-rs --all-features --test ui",
        &[],
        &[("TRYBUILD", "overwrite")],
    );
}

fn check(steps: &mut Steps) {
    steps.step("look for imports that lead upward", layers::check);
    for check in CHECKS {
        steps.cargo(check);
    }
    steps.cargo_with(
        "doc --workspace --no-deps --all-features",
        &[],
        &[("RUSTDOCFLAGS", "-D warnings")],
    );
}

/// Checks every engine alone, and none, because what one feature needs may only be there thanks to
/// another.
fn each_feature(steps: &mut Steps) {
    const ALONE: &str = "clippy --package txn-rs --package txn-runtime --no-default-features";
    steps.cargo(&format!("{ALONE} -- -D warnings"));
    for engine in ENGINES {
        steps.cargo(&format!("{ALONE} --features {engine} -- -D warnings"));
    }
}
