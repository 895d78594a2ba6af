//! The repository's own commands: `cargo xtask test`, `cargo xtask ui`, `cargo xtask bench` and
//! `cargo xtask instructions`.

mod bench;
mod examples;
mod failures;
mod install;
mod instructions;
mod layers;
mod steps;
mod test;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use clap::{Parser, Subcommand};

use crate::steps::Steps;

/// The repository's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check and test, on real servers of its own, and say at the end what failed.
    Test {
        /// Fail where a server or a program is missing, instead of installing it through apt-get.
        #[arg(long)]
        no_install: bool,
    },
    /// Count the instructions of the hot paths; a part of `test`.
    Instructions,
    /// Write the compiler's present output into the `.stderr` files of tests/ui.
    Ui,
    /// Measure txn beside other ways to run a transaction; `cargo xtask bench --help` says what
    /// there is.
    #[command(disable_help_flag = true)]
    Bench {
        /// `--quick` for the cells that say most, in about two minutes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// It does not return a `Result`, because that would bury the reason under a backtrace if those are
/// on.
fn main() -> ExitCode {
    let Err(error) = run(&Arguments::parse().command) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("\nerror: {error:#}");
    ExitCode::FAILURE
}

fn run(task: &Task) -> Result<()> {
    env::set_current_dir(root()?).context("enter the repository")?;
    let mut steps = Steps::new();
    match task {
        Task::Test { no_install } => test::run(&mut steps, !no_install),
        Task::Instructions => _ = instructions::run(&mut steps),
        Task::Ui => test::refresh_ui(&mut steps),
        Task::Bench { arguments } => _ = bench::run(&mut steps, arguments),
    }
    println!("\n{}", steps.summary()?);
    Ok(())
}

/// The root of the repository, wherever the command was called from.
fn root() -> Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").context("call it as `cargo xtask`")?;
    let root = Path::new(&package).parent();
    root.map(Path::to_path_buf)
        .context("the package xtask has a parent")
}
