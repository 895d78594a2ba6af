//! pgbench, which is part of PostgreSQL and sends the same statements from C.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::external::{self, Report};
use crate::run::{Gauge, Order, Sample};
use crate::workloads::{ACCOUNTS, Kind};

const TOUCH: &str = "BEGIN;\nSELECT balance FROM account WHERE id = :low;\nCOMMIT;\n";

const TRANSFER: &str = "BEGIN;
UPDATE account SET balance = balance - :cents WHERE id = :low;
UPDATE account SET balance = balance + :cents WHERE id = :high;
INSERT INTO ledger (debtor, creditor, cents) VALUES (:low, :high, :cents);
COMMIT;
";

/// Returns the reason that pgbench cannot be run, if there is one.
pub fn absence() -> Option<String> {
    let found = Command::new("pgbench").arg("--version").output().is_ok();
    (!found).then(|| "there is no pgbench on the PATH".to_owned())
}

pub fn run(kind: Kind, order: &Order, gauge: &mut dyn Gauge) -> Result<Sample> {
    external::run(kind, order, gauge, || program(kind, order))
}

/// Runs pgbench, which measures whole seconds.
fn program(kind: Kind, order: &Order) -> Result<Report> {
    let script = tempfile::NamedTempFile::new()?;
    fs::write(script.path(), text(kind)?)?;
    let place = &order.place;
    let clients = order.size.holders().to_string();
    let seconds = order.window.as_secs_f64().ceil().to_string();
    let output = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared"])
        .args(["--jobs", "2", "--client", &clients, "--time", &seconds])
        .args(["--host", &place.host, "--port", &place.port.to_string()])
        .args(["--username", &place.user, &place.database])
        .arg("--file")
        .arg(script.path())
        .env("PGPASSWORD", &place.password)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pgbench: {errors}");
    let per_second = number(&said, "tps = ")?;
    let all = number(&said, "number of transactions actually processed: ")?;
    Ok(Report {
        sample: Sample {
            finished: all as u64,
            per_second,
            ..Sample::default()
        },
        all: all as i64,
    })
}

fn text(kind: Kind) -> Result<String> {
    let accounts = format!(
        "\\set low random(1, {ACCOUNTS} - 1)\n\
         \\set high random(:low + 1, {ACCOUNTS})\n\
         \\set cents random(-500, 500)\n"
    );
    match kind {
        Kind::Touch => Ok(accounts + TOUCH),
        Kind::Transfer => Ok(accounts + TRANSFER),
        _ => bail!("pgbench has no script for {}", kind.name()),
    }
}

fn number(text: &str, after: &str) -> Result<f64> {
    let (_, rest) = text.split_once(after).context("what pgbench says")?;
    let digits = rest.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    Ok(digits.into_iter().next().unwrap_or_default().parse()?)
}
