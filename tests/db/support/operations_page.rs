//! The guide to operations is compared with what the runtime says and counts, because its readers
//! look for a text that they have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use metrics::Label;
use metrics_exporter_prometheus::PrometheusBuilder;

const PAGE: &str = include_str!("../../../src/guide/operations.md");
const METRICS: &str = include_str!("../../../src/metrics.md");
const RUNTIME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/txn-runtime/src");

/// The section of this title, without what is below it.
fn section(title: &str) -> &'static str {
    let (_, section) = PAGE.split_once(&format!("\n# {title}\n")).unwrap();
    section.split("\n# ").next().unwrap()
}

/// The lines of all code blocks of plain text; a line that goes on is indented there.
fn blocks(page: &str) -> Vec<String> {
    let blocks = page.split("\n```text\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("\n```").next().unwrap());
    let joined = blocks.map(|block| block.replace("\n    ", " "));
    let lines: Vec<String> = joined
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines
}

/// Every quoted text in the form of [`plain`]. An ellipsis stands for any text.
pub(crate) fn quotes() -> Vec<String> {
    let (texts, _) = PAGE.split_once("\n# Figures").unwrap();
    blocks(texts).iter().map(|text| plain(text)).collect()
}

pub(crate) fn fits(quote: &str, text: &str) -> bool {
    let Some((start, mut pieces)) = quote.split_once('…') else {
        return quote == text;
    };
    let Some(mut rest) = text.strip_prefix(start) else {
        return false;
    };
    while let Some((piece, after)) = pieces.split_once('…') {
        let Some((_, left)) = rest.split_once(piece) else {
            return false;
        };
        (pieces, rest) = (after, left);
    }
    rest.ends_with(pieces)
}

/// Takes out of a text what differs each time: figures, times, and places in the source.
pub(crate) fn plain(text: &str) -> String {
    let places = text.split('(').map(|part| match part.split_once(".rs:") {
        Some((_, rest)) => format!("@{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => part.to_owned(),
    });
    let text = places.collect::<Vec<_>>().join("(");
    let (mut plain, mut rest) = (String::new(), &*text);
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        plain += &rest[..at];
        plain.push('#');
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit());
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        rest = without_unit(rest);
    }
    plain + rest
}

fn without_unit(text: &str) -> &str {
    let units = ["ns", "µs", "ms", "s"];
    let after = units.iter().find_map(|unit| text.strip_prefix(unit));
    let is_over = |after: &&str| !after.starts_with(char::is_alphanumeric);
    after.filter(is_over).unwrap_or(text)
}

/// The cells of all rows of a table, without its head.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| you see"));
    let rows = rows.filter(|line| !line.starts_with("| metric ") && !line.starts_with("| level, "));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
}

fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn what_differs_from_time_to_time_is_left_out() {
    let text = "`a.b` (src/c.rs:10, session 4) for 1.50ms: 3 statements, 5s, 2nd (in `d`): x";
    assert_eq!(
        plain(text),
        "`a.b` (@, session #) for #: # statements, #, #nd (in `d`): x"
    );
    assert!(fits("a … b … c…", "a 1 b 2 c") && fits("a…b", "ab") && fits("a", "a"));
    assert!(!fits("a … b", "a 1 c") && !fits("a", "ab") && !fits("a…", "b"));
}

#[test]
fn each_symptom_of_the_first_table_is_quoted_in_full_below() {
    let (first, _) = PAGE.split_once("\n# ").unwrap();
    let (quotes, log) = (quotes(), plain(section("Log lines")));
    let mut symptoms = 0;
    for row in rows(first) {
        let start = plain(in_backticks(row[0])[0]);
        let start = start.trim_end_matches('…').trim_end();
        let is_there = match row[0].contains("in the log") {
            true => log.contains(start),
            false => quotes.iter().any(|quote| quote.starts_with(start)),
        };
        assert!(is_there, "{start}");
        symptoms += 1;
    }
    assert!(symptoms > 10);
}

/// Level and message of each event of the runtime that an operator sees.
fn events(directory: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            events(&path, found);
            continue;
        }
        let source = fs::read_to_string(path).unwrap();
        for level in ["error", "warn", "info"] {
            for event in source.split(&format!("tracing::{level}!(")).skip(1) {
                let (event, _) = event.split_once(");").unwrap();
                let message = event.rsplit('"').nth(1).unwrap();
                found.insert((level.to_owned(), message.to_owned()));
            }
        }
    }
}

/// Replaces every argument of a message by an ellipsis.
fn pattern(message: &str) -> String {
    let mut parts = message.split('{');
    let mut pattern = parts.next().unwrap().to_owned();
    for part in parts {
        pattern.push('…');
        pattern += part.split_once('}').unwrap().1;
    }
    pattern
}

#[test]
fn the_log_lines_are_those_of_the_runtime() {
    let mut events_found = BTreeSet::new();
    events(Path::new(RUNTIME), &mut events_found);
    let lines: Vec<_> = rows(section("Log lines")).map(|row| row[0]).collect();
    for (level, message) in &events_found {
        let is_it = |line: &&&str| {
            let message = pattern(message);
            line.starts_with(level) && fits(&message, in_backticks(line)[0])
        };
        assert_eq!(lines.iter().filter(is_it).count(), 1, "{level} {message}");
    }
    assert_eq!(lines.len(), events_found.len());
}

/// The metrics with their kinds, and the labels of their own.
fn metrics() -> BTreeMap<&'static str, (&'static str, Vec<&'static str>)> {
    let rows = rows(METRICS)
        .filter(|row| ["counter", "gauge", "histogram"].contains(row.get(1).unwrap_or(&"")));
    let metrics = rows.map(|row| {
        let labels = in_backticks(row[4]).into_iter();
        let labels = labels.filter(|label| label.starts_with("txn.") || label.starts_with("db."));
        (in_backticks(row[0])[0], (row[1], labels.collect()))
    });
    metrics.collect()
}

#[test]
fn every_metric_is_explained_and_no_other() {
    let (_, figures) = PAGE.split_once("\n# Figures").unwrap();
    let explained: BTreeSet<_> = rows(figures).flat_map(|row| in_backticks(row[0])).collect();
    assert_eq!(explained, metrics().into_keys().collect());
}

/// Every name that Prometheus sees: of metrics, series and labels.
fn exported() -> BTreeSet<String> {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        for (name, (kind, own)) in metrics() {
            let common = ["db.client.connection.pool.name", "db.system.name"];
            let labels = common.into_iter().chain(own);
            let labels: Vec<_> = labels.map(|label| Label::new(label, "x")).collect();
            match kind {
                "counter" => metrics::counter!(name, labels).increment(1),
                "gauge" => metrics::gauge!(name, labels).set(1.0),
                _ => metrics::histogram!(name, labels).record(1.0),
            }
        }
    });
    let text = recorder.handle().render();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.split(|c| !is_name(c)).map(str::to_owned).collect()
}

#[test]
fn the_alerts_ask_for_what_the_exporter_has() {
    let (_, figures) = PAGE.split_once("\n# Figures").unwrap();
    let exported = exported();
    let alerts = blocks(figures).join("\n");
    assert!(alerts.matches("\n# ").count() > 15);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = PAGE
        .split(|c| !is_name(c))
        .filter(|name| name.starts_with("txn_") || name.starts_with("db_"));
    for name in names {
        assert!(exported.contains(name), "{name}");
    }
    let values = alerts.lines().filter(|line| !line.starts_with('#'));
    for value in values.flat_map(|line| line.split('"').skip(1).step_by(2)) {
        for value in value.split('|') {
            let is_there = METRICS.contains(&format!("`{value}`")) || exported.contains(value);
            assert!(is_there, "{value}");
        }
    }
}
