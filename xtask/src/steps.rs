//! Steps that are announced, timed and stop the run when they fail.

use std::env;
use std::ffi::OsString;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

pub(crate) struct Steps {
    start: Instant,
    /// For every command: where the servers are.
    environment: Vec<(&'static str, String)>,
    passed: usize,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            environment: Vec::new(),
            passed: 0,
        }
    }

    pub(crate) fn export(&mut self, variables: impl IntoIterator<Item = (&'static str, String)>) {
        self.environment.extend(variables);
    }

    /// Runs one step under a name.
    pub(crate) fn step<T>(&mut self, name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        println!(
            "\n==> [{:6.1} s] {name}",
            self.start.elapsed().as_secs_f64()
        );
        let result = run().with_context(|| format!("step failed: {name}"))?;
        println!("    took {:.1} s", begun.elapsed().as_secs_f64());
        self.passed += 1;
        Ok(result)
    }

    /// One step: `cargo` with these arguments.
    pub(crate) fn cargo(&mut self, arguments: &str) -> Result<()> {
        self.cargo_with(arguments, &[], &[])
    }

    /// The same with arguments that may contain spaces, and with variables of its own.
    pub(crate) fn cargo_with(
        &mut self,
        arguments: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<()> {
        let words: Vec<_> = arguments
            .split_whitespace()
            .chain(more.iter().copied())
            .collect();
        let name = format!("cargo {}", words.join(" "));
        let mut command = cargo();
        command.args(words);
        command.envs(self.environment.iter().cloned());
        command.envs(variables.iter().copied());
        self.step(&name, || succeed(&mut command))
    }

    /// Builds and runs a program that stands outside of the workspace, with its build beside ours.
    pub(crate) fn launch(&mut self, manifest: &str, arguments: &[OsString]) -> Result<()> {
        let outside = |verb: &str| {
            let mut command = cargo();
            command.args([verb, "--release", "--manifest-path", manifest]);
            if env::var_os("CARGO_TARGET_DIR").is_none() {
                command.args(["--target-dir", "target/benches"]);
            }
            command
        };
        // All its programs: the one that is run starts another.
        self.step(&format!("cargo build --manifest-path {manifest}"), || {
            succeed(&mut outside("build"))
        })?;
        self.step(&format!("cargo run --manifest-path {manifest}"), || {
            succeed(outside("run").arg("--quiet").arg("--").args(arguments))
        })
    }

    pub(crate) fn summary(&self) -> String {
        let elapsed = self.start.elapsed().as_secs_f64();
        format!("all {} steps passed in {elapsed:.0} s", self.passed)
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().context("run cargo")?;
    ensure!(status.success(), "cargo ended with {status}");
    Ok(())
}

/// The cargo that runs us, which is the pinned toolchain's.
fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
