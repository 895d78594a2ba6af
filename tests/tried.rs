//! The page "What was tried" of the guide: each report is linked once, and each test that it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../src/guide/tried.md");
const HEAD: &str = "| report | what happened | here | shown by |";

/// The cells of all rows.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = PAGE
        .lines()
        .filter(|line| line.starts_with('|') && *line != HEAD && *line != "|---|---|---|---|");
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// Where the module of a case is: a file, or one in the directory of its parent.
fn file_of(modules: &[&str]) -> PathBuf {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/db/cases");
    let file: PathBuf = modules.iter().collect();
    cases.join(file).with_extension("rs")
}

/// Whether the source has such a function, and runs it as a test.
fn has_test(source: &str, name: &str) -> bool {
    let function = format!("fn {name}()");
    let Some((before, _)) = source.split_once(&function) else {
        return false;
    };
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    attributes.contains("#[tokio::test") || attributes.contains("#[test]")
}

#[test]
fn each_test_that_is_named_is_there() {
    for row in rows() {
        let [_, _, _, shown_by] = row[..] else {
            panic!("{row:?}");
        };
        let tests: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{row:?}");
        for test in tests {
            let mut modules: Vec<&str> = test.split("::").collect();
            let name = modules.pop().unwrap_or_default();
            let file = file_of(&modules);
            let source = fs::read_to_string(&file);
            let source =
                source.unwrap_or_else(|error| panic!("{test}: {}: {error}", file.display()));
            assert!(
                has_test(&source, name),
                "{test} is not in {}",
                file.display()
            );
        }
    }
}

#[test]
fn each_report_is_linked_once() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        let link = row[0]
            .split_once("](")
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        let link = link.unwrap_or_else(|| panic!("no link: {row:?}"));
        assert!(link.starts_with("https://github.com/"), "{link}");
        assert!(seen.insert(link), "{link} stands there twice");
    }
    assert!(seen.len() >= 40, "{}", seen.len());
}

#[test]
fn a_test_is_known_by_its_attribute() {
    let source = "fn helper() {}\n\n/// Says it.\n#[tokio::test]\nasync fn case() {\n}\n";
    assert!(has_test(source, "case"));
    assert!(!has_test(source, "helper") && !has_test(source, "other"));
}
