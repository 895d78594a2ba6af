//! Runs steps that are announced and timed. A step that fails does not end the run. All failures
//! are listed again at the end.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::failures::Failures;

pub(crate) struct Steps {
    start: Instant,
    /// The environment of every command, which names the servers.
    environment: Vec<(&'static str, String)>,
    passed: usize,
    failed: Vec<Failed>,
}

struct Failed {
    step: String,
    why: String,
    /// The failed tests of the step, if they are known.
    tests: Vec<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            environment: Vec::new(),
            passed: 0,
            failed: Vec::new(),
        }
    }

    pub(crate) fn export(&mut self, variables: impl IntoIterator<Item = (&'static str, String)>) {
        self.environment.extend(variables);
    }

    /// Runs one step under a name. Returns `None` if it failed, for callers that need its result.
    pub(crate) fn step<T>(&mut self, name: &str, run: impl FnOnce() -> Result<T>) -> Option<T> {
        self.timed(name, |_| run())
    }

    /// Runs `cargo` with these arguments as one step.
    pub(crate) fn cargo(&mut self, arguments: &str) -> Option<()> {
        self.cargo_with(arguments, &[], &[])
    }

    /// Runs `cargo` like [`cargo`](Self::cargo), with more arguments, which may contain spaces, and
    /// with environment variables.
    pub(crate) fn cargo_with(
        &mut self,
        arguments: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Option<()> {
        let (name, mut command) = self.command(arguments, more);
        command.envs(variables.iter().copied());
        self.step(&name, || succeed(&mut command))
    }

    /// Runs a program that was built in the target directory as one step.
    pub(crate) fn built(&mut self, path: &str, arguments: &[&str]) -> Option<()> {
        let words: Vec<_> = [path].iter().chain(arguments).copied().collect();
        let environment = self.environment.clone();
        self.step(&words.join(" "), || {
            let mut command = Command::new(target()?.join(path));
            succeed(command.args(arguments).envs(environment))
        })
    }

    /// Runs `cargo test` as one step. All tests are run, and the failed ones are known by name.
    pub(crate) fn test(&mut self, arguments: &str) -> Option<()> {
        let (name, command) = self.command(arguments, &["--no-fail-fast"]);
        self.timed(&name, |failures| {
            check(watch(command, |line| failures.line(line))?)
        })
    }

    /// Builds and runs a program outside of the workspace, with its target directory inside of the
    /// workspace's.
    pub(crate) fn launch(&mut self, manifest: &str, arguments: &[OsString]) -> Option<()> {
        let outside = |verb: &str| {
            let mut command = cargo();
            command.args([verb, "--release", "--manifest-path", manifest]);
            if env::var_os("CARGO_TARGET_DIR").is_none() {
                command.args(["--target-dir", "target/benches"]);
            }
            command
        };
        // All its programs are built, because the one that is run starts another.
        self.step(&format!("cargo build --manifest-path {manifest}"), || {
            succeed(&mut outside("build"))
        })?;
        self.step(&format!("cargo run --manifest-path {manifest}"), || {
            succeed(outside("run").arg("--quiet").arg("--").args(arguments))
        })
    }

    /// Returns the summary, or an error that names what failed.
    pub(crate) fn summary(&self) -> Result<String> {
        self.summary_after(self.start.elapsed())
    }

    fn summary_after(&self, elapsed: Duration) -> Result<String> {
        let (passed, seconds) = (self.passed, elapsed.as_secs_f64());
        if self.failed.is_empty() {
            return Ok(format!("all {passed} steps passed in {seconds:.0} s"));
        }
        let (failed, steps) = (self.failed.len(), passed + self.failed.len());
        let mut text = format!("{failed} of {steps} steps failed in {seconds:.0} s");
        for Failed { step, why, tests } in &self.failed {
            write!(text, "\n  {step}: {why}")?;
            for test in tests {
                write!(text, "\n      {test}")?;
            }
        }
        bail!(text)
    }

    fn timed<T>(&mut self, name: &str, run: impl FnOnce(&mut Failures) -> Result<T>) -> Option<T> {
        let begun = Instant::now();
        let since = self.start.elapsed().as_secs_f64();
        println!("\n==> [{since:6.1} s] {name}");
        let mut failures = Failures::default();
        let result = run(&mut failures);
        let took = begun.elapsed().as_secs_f64();
        match result {
            Ok(done) => {
                println!("    took {took:.1} s");
                self.passed += 1;
                Some(done)
            }
            Err(error) => {
                println!("    FAILED after {took:.1} s: {error:#}");
                self.failed.push(Failed {
                    step: name.to_owned(),
                    why: format!("{error:#}"),
                    tests: failures.found(),
                });
                None
            }
        }
    }

    fn command(&self, arguments: &str, more: &[&str]) -> (String, Command) {
        let words = arguments.split_whitespace().chain(more.iter().copied());
        let words: Vec<_> = words.collect();
        let mut command = cargo();
        command.args(&words);
        command.envs(self.environment.iter().cloned());
        (format!("cargo {}", words.join(" ")), command)
    }
}

/// Returns the target directory as an absolute path.
pub(crate) fn target() -> Result<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    std::path::absolute(target).context("find the target directory")
}

/// Runs a command, copies its output to the terminal, and calls `line` for each line.
///
/// Both streams go through one pipe, because their order tells which test belongs to which target.
fn watch(mut command: Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    let (output, input) = io::pipe()?;
    command.stdout(input.try_clone()?).stderr(input);
    let mut child = command.spawn().context("run cargo")?;
    // The command holds write ends of the pipe. Without this, reading would never end.
    drop(command);
    let (mut output, mut bytes) = (BufReader::new(output), Vec::new());
    while output.read_until(b'\n', &mut bytes)? > 0 {
        io::stdout().write_all(&bytes)?;
        line(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
    Ok(child.wait()?)
}

fn succeed(command: &mut Command) -> Result<()> {
    check(command.status().context("run cargo")?)
}

fn check(status: ExitStatus) -> Result<()> {
    ensure!(status.success(), "cargo ended with {status}");
    Ok(())
}

/// Returns the cargo that runs this program, which is that of the pinned toolchain.
fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_does_not_end_the_run_and_is_named_at_the_end() {
        let mut steps = Steps::new();
        assert_eq!(steps.step("one", || Ok(1)), Some(1));
        let failed: Option<()> = steps.step("two", || bail!("no reason"));
        assert!(failed.is_none());
        assert_eq!(steps.step("three", || Ok(3)), Some(3));
        let summary = steps.summary_after(Duration::from_secs(7)).unwrap_err();
        assert_eq!(
            summary.to_string(),
            "1 of 3 steps failed in 7 s\n  two: no reason"
        );
    }

    #[test]
    fn the_tests_that_failed_are_named_under_their_step() {
        let mut steps = Steps::new();
        let failed: Option<()> = steps.timed("tests", |failures| {
            for line in [
                "failures:",
                "    a",
                "    b",
                "",
                "test result: FAILED.",
                "error: test failed, to rerun pass `--lib`",
            ] {
                failures.line(line);
            }
            bail!("cargo ended")
        });
        assert!(failed.is_none());
        let summary = steps.summary_after(Duration::ZERO).unwrap_err();
        assert_eq!(
            summary.to_string(),
            "1 of 1 steps failed in 0 s\n  tests: cargo ended\n      --lib: a\n      --lib: b"
        );
    }

    #[test]
    fn the_summary_says_that_all_steps_passed() {
        let mut steps = Steps::new();
        steps.step("one", || Ok(()));
        steps.step("two", || Ok(()));
        let summary = steps.summary_after(Duration::from_secs(7)).unwrap();
        assert_eq!(summary, "all 2 steps passed in 7 s");
    }

    #[test]
    fn both_streams_of_a_command_are_read_in_order() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 1; echo 2 >&2; echo 3; printf 4; exit 3"]);
        let mut lines = Vec::new();
        let status = watch(command, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["1", "2", "3", "4"]);
        assert_eq!(status.code(), Some(3));
    }
}
