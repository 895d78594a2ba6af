//! Reads accounts and transfers from CSV files.
//!
//! A file that is not as expected is an error, before anything is posted. A bad row is a
//! [`Problem`], and only that row is skipped.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use serde::de::DeserializeOwned;

use crate::domain::{Account, Transfer};

/// The largest amount in a row: ten billion. With this limit, no sum over a file overflows.
const MAX_CENTS: i64 = 1_000_000_000_000;

pub(crate) struct Input {
    pub(crate) accounts: Rows<Account>,
    pub(crate) transfers: Rows<Transfer>,
}

pub(crate) struct Rows<T> {
    pub(crate) good: Vec<T>,
    pub(crate) bad: Vec<Problem>,
}

/// A row that cannot be used, and the reason.
pub(crate) struct Problem {
    file: String,
    line: usize,
    cause: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.cause)
    }
}

impl Input {
    pub(crate) fn read(accounts: &Path, transfers: &Path) -> Result<Self> {
        Ok(Self {
            accounts: read(accounts)?,
            transfers: read(transfers)?,
        })
    }

    pub(crate) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.accounts.bad.iter().chain(&self.transfers.bad)
    }
}

trait Row: DeserializeOwned {
    const COLUMNS: &[&str];
    fn id(&self) -> i64;
    /// Returns what is wrong with a row whose fields all have the right type.
    fn fault(&self) -> Option<&'static str>;
}

impl Row for Account {
    const COLUMNS: &[&str] = &["id", "owner", "cents"];

    fn id(&self) -> i64 {
        self.id
    }

    fn fault(&self) -> Option<&'static str> {
        first_fault(&[
            (self.id < 1, "column `id`: must be 1 or more"),
            (self.owner.is_empty(), "column `owner`: must not be empty"),
            (
                self.owner.chars().count() > 200,
                "column `owner`: must not be longer than 200 characters",
            ),
            (
                !(0..=MAX_CENTS).contains(&self.cents),
                "column `cents`: must be from 0 to 1000000000000",
            ),
        ])
    }
}

impl Row for Transfer {
    const COLUMNS: &[&str] = &["id", "debtor", "creditor", "cents", "fee"];

    fn id(&self) -> i64 {
        self.id
    }

    fn fault(&self) -> Option<&'static str> {
        first_fault(&[
            (self.debtor < 1, "column `debtor`: must be 1 or more"),
            (self.creditor < 1, "column `creditor`: must be 1 or more"),
            (
                self.debtor == self.creditor,
                "debtor and creditor are the same account",
            ),
            (
                !(1..=MAX_CENTS).contains(&self.cents),
                "column `cents`: must be from 1 to 1000000000000",
            ),
            (
                !(0..=MAX_CENTS).contains(&self.fee),
                "column `fee`: must be from 0 to 1000000000000",
            ),
        ])
    }
}

fn first_fault(faults: &[(bool, &'static str)]) -> Option<&'static str> {
    let first = faults.iter().find(|(is_fault, _)| *is_fault);
    first.map(|(_, fault)| *fault)
}

fn read<T: Row>(path: &Path) -> Result<Rows<T>> {
    let (file, columns) = (path.display(), T::COLUMNS.join(", "));
    let wanted = || format!("{file}: expected a CSV file with the columns {columns}");
    parse(path).with_context(wanted)
}

fn parse<T: Row>(path: &Path) -> Result<Rows<T>> {
    let bytes = fs::read(path)?;
    let mut lines = numbered(utf8(&bytes)?);
    let (_, first) = lines.next().context("the file is empty")?;
    let header = header::<T>(first)?;
    Ok(rows(&path.display().to_string(), &header, lines))
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        anyhow!("line {line} is not UTF-8")
    })?;
    Ok(text.trim_start_matches('\u{feff}'))
}

/// Returns the lines that are not empty, each with its number.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
}

fn header<T: Row>(line: &str) -> Result<StringRecord> {
    let header = record(line).map_err(|cause| anyhow!("first line: {cause}"))?;
    let is_missing = |column: &&str| !header.iter().any(|field| field == *column);
    let missing: Vec<&str> = T::COLUMNS.iter().copied().filter(is_missing).collect();
    if !missing.is_empty() {
        let found: String = line.chars().take(60).collect();
        bail!(
            "no column {} in its first line {found:?}",
            missing.join(", ")
        );
    }
    Ok(header)
}

fn rows<'a, T: Row>(
    file: &str,
    header: &StringRecord,
    lines: impl Iterator<Item = (usize, &'a str)>,
) -> Rows<T> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let mut seen = HashMap::new();
    for (line, text) in lines {
        let row = row(header, text).and_then(|row: T| match seen.insert(row.id(), line) {
            Some(earlier) => Err(format!("column `id`: taken by line {earlier}")),
            None => Ok(row),
        });
        match row {
            Ok(row) => good.push(row),
            Err(cause) => bad.push(Problem {
                file: file.to_owned(),
                line,
                cause,
            }),
        }
    }
    Rows { good, bad }
}

fn row<T: Row>(header: &StringRecord, line: &str) -> Result<T, String> {
    let record = record(line)?;
    if record.len() != header.len() {
        let (expected, found) = (header.len(), record.len());
        return Err(format!("expected {expected} fields, found {found}"));
    }
    let row: T = record
        .deserialize(Some(header))
        .map_err(|error| describe(&error, header, &record))?;
    row.fault().map_or(Ok(row), |fault| Err(fault.to_owned()))
}

/// Parses one line. No field spans lines, so a quote that is left open costs its own line and not
/// the rest of the file.
fn record(line: &str) -> Result<StringRecord, String> {
    if line.matches('"').count() % 2 == 1 {
        return Err("a quote is opened and not closed".to_owned());
    }
    if line.contains('\r') {
        return Err("a carriage return inside of the line".to_owned());
    }
    if !line.contains('"') {
        // This is the common case, which needs no reader.
        return Ok(line.split(',').map(str::trim).collect());
    }
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).trim(Trim::All);
    let mut record = StringRecord::new();
    let read = builder
        .from_reader(line.as_bytes())
        .read_record(&mut record);
    read.map_err(|error| error.to_string()).map(|_| record)
}

fn describe(error: &csv::Error, header: &StringRecord, record: &StringRecord) -> String {
    let ErrorKind::Deserialize { err, .. } = error.kind() else {
        return error.to_string();
    };
    let field = err.field().and_then(|field| usize::try_from(field).ok());
    match field.and_then(|field| header.get(field).zip(record.get(field))) {
        Some((column, value)) => {
            format!(
                "column `{column}`: expected a whole number, found {value:?} ({})",
                err.kind()
            )
        }
        None => err.to_string(),
    }
}
