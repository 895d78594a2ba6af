//! Measures what the macro costs at compile time, with the same 500 functions annotated and written
//! by hand.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::output;
use crate::summary::Spread;

const FUNCTIONS: usize = 500;
const REPETITIONS: usize = 5;

/// The results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compiled {
    /// Seconds that `cargo check` takes.
    pub annotated: Spread,
    pub by_hand: Spread,
    pub ratio: Spread,
    /// Milliseconds that the macro takes for one function, called as a pure function and built as
    /// cargo builds macros for a check.
    pub macro_millis: f64,
}

pub fn run() -> Result<()> {
    let annotated = package("annotated", &annotated())?;
    let by_hand = package("by_hand", &by_hand())?;
    check(&annotated)?;
    check(&by_hand)?;
    let mut seconds = Vec::new();
    for _ in 0..REPETITIONS {
        seconds.push((check(&annotated)?, check(&by_hand)?));
    }
    let spread =
        |of: fn(&(f64, f64)) -> f64| Spread::of(seconds.iter().map(of)).context("repetitions");
    let compiled = Compiled {
        annotated: spread(|it| it.0)?,
        by_hand: spread(|it| it.1)?,
        ratio: spread(|it| it.0 / it.1)?,
        macro_millis: macro_millis()?,
    };
    println!(
        "cargo check of {FUNCTIONS} functions: annotated {:.2} s, by hand {:.2} s, \
         ratio {:.2} ({:.2} to {:.2})\n\
         the macro: {:.3} ms per function (unoptimised, as cargo builds it for a check)",
        compiled.annotated.median,
        compiled.by_hand.median,
        compiled.ratio.median,
        compiled.ratio.min,
        compiled.ratio.max,
        compiled.macro_millis,
    );
    output::save("compile", &compiled)?;
    Ok(())
}

/// Loads the result of an earlier run, if there is one.
pub fn earlier() -> Option<Compiled> {
    output::load("compile")
}

fn annotated() -> String {
    let mut source = "use txn::{Postgres, Tx, transactional};\n".to_owned();
    for at in 0..FUNCTIONS {
        let _ = write!(
            source,
            "
#[transactional]
pub async fn pay_{at}(tx: &mut Tx<Postgres>, id: i64, cents: i64) -> Result<i64, sqlx::Error> {{
    let balance: i64 = sqlx::query_scalar(\"SELECT balance FROM account WHERE id = $1\")
        .bind(id)
        .fetch_one(tx)
        .await?;
    sqlx::query(\"UPDATE account SET balance = $1 WHERE id = $2\")
        .bind(balance - cents)
        .bind(id)
        .execute(tx)
        .await?;
    Ok(balance)
}}
"
        );
    }
    source
}

fn by_hand() -> String {
    let mut source = "use sqlx::PgPool;\n".to_owned();
    for at in 0..FUNCTIONS {
        let _ = write!(
            source,
            "
pub async fn pay_{at}(pool: &PgPool, id: i64, cents: i64) -> Result<i64, sqlx::Error> {{
    let mut tx = pool.begin().await?;
    let balance: i64 = sqlx::query_scalar(\"SELECT balance FROM account WHERE id = $1\")
        .bind(id)
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query(\"UPDATE account SET balance = $1 WHERE id = $2\")
        .bind(balance - cents)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(balance)
}}
"
        );
    }
    source
}

/// Writes a package. Both packages have the same dependencies, and share their builds.
fn package(name: &str, source: &str) -> Result<PathBuf> {
    let repository = output::repository()?;
    let directory = output::directory()?.join("compile").join(name);
    fs::create_dir_all(directory.join("src"))?;
    let manifest = format!(
        "[workspace]\n[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\n\
         txn-rs = {{ path = {:?}, features = [\"postgres\"] }}\n\
         sqlx = {{ version = \"0.9\", default-features = false, \
         features = [\"postgres\", \"runtime-tokio\"] }}\n",
        repository.display().to_string()
    );
    fs::write(directory.join("Cargo.toml"), manifest)?;
    fs::write(directory.join("src/lib.rs"), source)?;
    // Everything is measured with the same versions of the dependencies.
    fs::copy(
        repository.join("benches/Cargo.lock"),
        directory.join("Cargo.lock"),
    )?;
    Ok(directory)
}

/// Returns the seconds of a full check of the package, without its dependencies.
fn check(package: &Path) -> Result<f64> {
    let source = package.join("src/lib.rs");
    fs::write(&source, fs::read(&source)?)?;
    let begun = Instant::now();
    cargo(
        Command::new("cargo")
            .args(["check", "--quiet", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(package.with_file_name("target"))
            .env("CARGO_INCREMENTAL", "0"),
    )?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Runs the test of the macro crate that prints the time, because only there the macro is a plain
/// function.
fn macro_millis() -> Result<f64> {
    let said = cargo(
        Command::new("cargo")
            .args(["test", "--quiet", "--package", "txn-macros", "--lib"])
            .args(["--", "--ignored", "--nocapture", "time_per_function"])
            .current_dir(output::repository()?),
    )?;
    let (_, rest) = said
        .split_once("milliseconds per function: ")
        .with_context(|| format!("the macro's time in: {said}"))?;
    let number = rest.split_whitespace().next().context("a number")?;
    Ok(number.parse()?)
}

fn cargo(command: &mut Command) -> Result<String> {
    let output = command.output().context("run cargo")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
