//! SQLAlchemy's asyncio extension on asyncpg, in a virtual environment, if there is Python.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::external::{self, Report};
use crate::output;
use crate::run::{Gauge, Order, Sample};
use crate::workloads::Kind;

const SCRIPT: &str = include_str!("sqlalchemy.py");

/// Returns the reason that SQLAlchemy cannot be run, if there is one. The first call creates the
/// environment.
pub fn absence() -> Option<String> {
    static MADE: OnceLock<Option<String>> = OnceLock::new();
    let made = MADE.get_or_init(|| make().err().map(|error| format!("{error:#}")));
    made.clone()
}

fn make() -> Result<()> {
    let python = python()?;
    if python.is_file() {
        return Ok(());
    }
    let venv = output::directory()?.join("venv");
    command(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
    let packages = ["sqlalchemy[asyncio]", "asyncpg"];
    command(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(packages),
    )
    .inspect_err(|_| {
        // Otherwise the next run would take the environment for complete.
        let _ = std::fs::remove_file(&python);
    })
}

fn python() -> Result<PathBuf> {
    Ok(output::directory()?.join(Path::new("venv/bin/python3")))
}

fn command(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("no {program}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", errors.trim());
    Ok(())
}

pub fn run(kind: Kind, order: &Order, gauge: &mut dyn Gauge) -> Result<Sample> {
    external::run(kind, order, gauge, || program(kind, order))
}

#[derive(Deserialize)]
struct Answer {
    all: i64,
    finished: u64,
    seconds: f64,
    cpu: f64,
    p50: f64,
    p99: f64,
    worst: f64,
}

fn program(kind: Kind, order: &Order) -> Result<Report> {
    let url = order
        .place
        .url
        .replace("postgres://", "postgresql+asyncpg://");
    let output = Command::new(python()?)
        .args(["-c", SCRIPT, &url, kind.name()])
        .arg(order.size.tasks.to_string())
        .arg(order.size.sessions.to_string())
        .arg(order.warm_up.as_secs_f64().to_string())
        .arg(order.window.as_secs_f64().to_string())
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "SQLAlchemy: {errors}");
    let answer: Answer = serde_json::from_slice(&output.stdout)?;
    Ok(Report {
        all: answer.all,
        sample: Sample {
            finished: answer.finished,
            per_second: answer.finished as f64 / answer.seconds,
            cpu: Some(answer.cpu * 1e6 / answer.finished.max(1) as f64),
            p50: answer.p50,
            p99: answer.p99,
            worst: answer.worst,
            ..Sample::default()
        },
    })
}
