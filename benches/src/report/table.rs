//! Tables for the terminal.

use comfy_table::{CellAlignment, Table, presets};

use crate::run::Sample;
use crate::suite::{Measured, Row};
use crate::summary::Spread;

const HEADER: [&str; 10] = [
    "peer",
    "tx/s",
    "min",
    "max",
    "txn is",
    "CPU µs",
    "trips",
    "p50 µs",
    "p99 µs",
    "worst µs",
];

pub fn print(measured: &Measured) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(HEADER);
    for row in &measured.rows {
        table.add_row(line(measured, row));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{}{}\n{table}", measured.cell.label(), noise(measured));
}

fn noise(measured: &Measured) -> String {
    match (measured.repeated, measured.disturbed) {
        (0, 0) => String::new(),
        (repeated, 0) => format!(" ({repeated} disturbed runs repeated)"),
        (repeated, kept) => {
            format!(" ({repeated} disturbed runs repeated, {kept} kept: no quiet moment)")
        }
    }
}

fn line(measured: &Measured, row: &Row) -> Vec<String> {
    let rate = row.spread(|sample| Some(sample.per_second));
    let end = |end: fn(Spread) -> f64| rate.map_or(String::new(), |rate| whole(end(rate)));
    let ratio = measured.ratio(row.peer, |sample| Some(sample.per_second));
    let median = |of: fn(&Sample) -> Option<f64>| row.median(of);
    vec![
        row.peer.to_owned() + &remarks(row),
        end(|rate| rate.median),
        end(|rate| rate.min),
        end(|rate| rate.max),
        ratio.map_or(String::new(), |ratio| format!("{:.2} ×", ratio.median)),
        median(|sample| sample.cpu).map_or(String::new(), |cpu| format!("{cpu:.1}")),
        median(|sample| sample.round_trips).map_or(String::new(), |trips| format!("{trips:.2}")),
        median(|sample| timed(sample.p50)).map_or(String::new(), whole),
        median(|sample| timed(sample.p99)).map_or(String::new(), whole),
        median(|sample| timed(sample.worst)).map_or(String::new(), whole),
    ]
}

/// Returns what went wrong, over all repetitions.
fn remarks(row: &Row) -> String {
    let total = |of: fn(&Sample) -> u64| row.samples.iter().map(of).sum::<u64>();
    let said = [
        (total(|sample| sample.busy), "refused as busy"),
        (total(|sample| sample.missing.unsigned_abs()), "LOST"),
        (total(|sample| sample.stuck as u64), "stuck"),
    ];
    let said = said.iter().filter(|(count, _)| *count > 0);
    said.map(|(count, what)| format!(", {count} {what}"))
        .collect()
}

/// Returns a quantile if there is one. pgbench reports none.
fn timed(micros: f64) -> Option<f64> {
    (micros > 0.0).then_some(micros)
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}
