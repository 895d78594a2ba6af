//! The pages of the guide that name tests, and the README: each test that is named is there, each
//! report is linked once, and the README stays short.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const README: &str = include_str!("../README.md");
const TRIED: &str = include_str!("../src/guide/tried.md");
const PROMISES: &str = include_str!("../src/guide/promises.md");
const BESIDE: &str = include_str!("../src/guide/beside.md");

const HEAD: &str = "| report | what happened | here | shown by |";

/// The first segments of paths in backticks that do not name a test.
const CRATES: [&str; 3] = ["txn", "sqlx", "tokio"];

/// The number of words that a reader takes in within two minutes, code and tables aside.
const WORDS: usize = 500;

/// The cells of all rows of the page "What was tried".
fn rows() -> Vec<Vec<&'static str>> {
    let rows = TRIED
        .lines()
        .filter(|line| line.starts_with('|') && *line != HEAD && *line != "|---|---|---|---|");
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// All texts between two backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The tests that a page names anywhere: paths in lower case that do not begin with a crate.
fn named(page: &str) -> Vec<&str> {
    let is_path =
        |text: &&str| text.contains("::") && text.chars().all(|c| c == ':' || is_of_a_name(c));
    let is_ours = |text: &&str| {
        CRATES
            .iter()
            .all(|name| !text.starts_with(&format!("{name}::")))
    };
    quoted(page).filter(is_path).filter(is_ours).collect()
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

fn here(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The file of a case's module, which may be in the directory of its parent.
fn file_of(modules: &[&str]) -> PathBuf {
    let file: PathBuf = modules.iter().collect();
    here("tests/db/cases").join(file).with_extension("rs")
}

/// Returns whether the source has such a function, and runs it as a test.
fn has_test(source: &str, name: &str) -> bool {
    let function = format!("fn {name}()");
    let Some((before, _)) = source.split_once(&function) else {
        return false;
    };
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    attributes.contains("#[tokio::test") || attributes.contains("#[test]")
}

/// Asserts that a test exists: `module::function` in `tests/db/cases`, or `ui::program` in
/// `tests/ui/fail`.
#[track_caller]
fn assert_is_there(test: &str) {
    let mut modules: Vec<&str> = test.split("::").collect();
    let name = modules.pop().unwrap_or_default();
    if modules == ["ui"] {
        let program = here("tests/ui/fail").join(name).with_extension("rs");
        assert!(program.exists(), "{test}: no {}", program.display());
        return;
    }
    let file = file_of(&modules);
    let source = fs::read_to_string(&file);
    let source = source.unwrap_or_else(|error| panic!("{test}: {}: {error}", file.display()));
    assert!(
        has_test(&source, name),
        "{test} is not in {}",
        file.display()
    );
}

#[test]
fn each_test_that_is_named_is_there() {
    for row in rows() {
        let [_, _, _, shown_by] = row[..] else {
            panic!("{row:?}");
        };
        assert!(quoted(shown_by).next().is_some(), "{row:?}");
        quoted(shown_by).for_each(assert_is_there);
    }
    for (page, at_least) in [(PROMISES, 30), (BESIDE, 10)] {
        let tests = named(page);
        assert!(tests.len() >= at_least, "{tests:?}");
        tests.into_iter().for_each(assert_is_there);
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
fn all_link_targets_of_the_readme_exist() {
    let links = README
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("https://") && !link.starts_with('#')) {
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        assert!(here(path).exists(), "{link}");
        let page = fs::read_to_string(here(path))
            .unwrap_or_default()
            .to_lowercase();
        assert!(
            heading.is_empty() || page.contains(&format!("# {heading}\n")),
            "{link}"
        );
    }
}

#[test]
fn the_readme_is_read_in_two_minutes() {
    let text = README.split("```").step_by(2).flat_map(str::lines);
    let words = text
        .filter(|line| !line.starts_with('|'))
        .flat_map(str::split_whitespace);
    let words = words
        .filter(|word| word.contains(char::is_alphabetic))
        .count();
    assert!(words <= WORDS, "{words} words");
    let long: Vec<&str> = README
        .lines()
        .filter(|line| line.chars().count() > 100)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn the_readme_names_the_oldest_compiler() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        README.contains(&format!("[Rust {version} or newer]")),
        "{version}"
    );
    assert!(README.contains(&format!("rust-{version}%2B")), "{version}");
}

#[test]
fn a_test_is_recognised_by_its_attribute() {
    let source = "fn helper() {}\n\n/// Says it.\n#[tokio::test]\nasync fn case() {\n}\n";
    assert!(has_test(source, "case"));
    assert!(!has_test(source, "helper") && !has_test(source, "other"));
}

#[test]
fn a_test_is_named_by_its_path() {
    let page =
        "`retry` and `sqlx::query` are none, `a::b_c2` is one, `Db::check` and `f()` are none";
    assert_eq!(named(page), ["a::b_c2"]);
}
