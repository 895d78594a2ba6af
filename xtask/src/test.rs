//! Everything that must hold before a change goes in.

use txn_test_servers::Run;

use crate::examples;
use crate::steps::Steps;
use crate::{install, instructions, layers};

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

/// The servers are ended by their `Drop`; by their supervisors if we are killed.
fn on_servers(steps: &mut Steps) -> Option<()> {
    let start = || {
        let servers = Run::start()?;
        Ok((servers.environment()?, servers))
    };
    let (environment, servers) = steps.step("start the database servers", start)?;
    steps.export(environment);
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

/// Accepts what the compiler says now; the difference is for the author to read.
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

/// Every engine alone, and none: what one feature needs may be there only thanks to another.
fn each_feature(steps: &mut Steps) {
    const ALONE: &str = "clippy --package txn-rs --package txn-runtime --no-default-features";
    steps.cargo(&format!("{ALONE} -- -D warnings"));
    for engine in ENGINES {
        steps.cargo(&format!("{ALONE} --features {engine} -- -D warnings"));
    }
}
