//! The example `bank` as its users meet it: its answers to bad input, and its exit codes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

const ACCOUNTS: &str = "id,owner,cents\n1,Ada,1000\n2,\"Bauer, Jo\",0\n";
const TRANSFERS: &str = "id,debtor,creditor,cents,fee\n1,1,2,500,25\n2,1,2,100,0\n";

/// A bank with two input files in a temporary directory.
struct Bank {
    directory: TempDir,
}

struct Finished {
    succeeded: bool,
    table: String,
    messages: String,
}

impl Bank {
    fn new() -> Self {
        let bank = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        bank.with("accounts.csv", ACCOUNTS)
            .with("transfers.csv", TRANSFERS)
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.file(name), content).unwrap();
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self) -> Finished {
        self.run_with(&[])
    }

    fn run_with(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(program());
        command.arg("--accounts").arg(self.file("accounts.csv"));
        command.arg("--transfers").arg(self.file("transfers.csv"));
        Finished::new(&command.args(arguments).output().unwrap())
    }

    /// The URL of a database that outlives the run.
    fn url(&self) -> String {
        format!("sqlite://{}", self.file("bank.db").display())
    }
}

impl Finished {
    fn new(output: &Output) -> Self {
        Self {
            succeeded: output.status.success(),
            table: String::from_utf8_lossy(&output.stdout).into_owned(),
            messages: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The value that the final table has for `what`.
    fn figure(&self, what: &str) -> &str {
        let line = self.table.lines().find(|line| line.contains(what));
        let line = line.unwrap_or_else(|| panic!("no {what}:\n{}{}", self.table, self.messages));
        let value = line.split('┆').nth(1).unwrap();
        value.trim_matches(['│', ' '])
    }

    #[track_caller]
    fn assert_sound(&self) {
        assert!(self.succeeded, "{}{}", self.table, self.messages);
        assert_eq!(self.table.matches("ok: ").count(), 4, "{}", self.table);
    }

    #[track_caller]
    fn assert_refused(&self, wanted: &[&str]) {
        assert!(!self.succeeded, "{}", self.table);
        assert_eq!(self.table, "", "nothing is posted");
        for wanted in wanted {
            assert!(
                self.messages.contains(wanted),
                "no {wanted:?}: {}",
                self.messages
            );
        }
        assert!(!self.messages.contains("panicked"), "{}", self.messages);
    }
}

/// Cargo tells a test the paths of binaries, but not of examples, and `cargo test --test bank` does
/// not build examples.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let name = format!("bank{}", std::env::consts::EXE_SUFFIX);
        let program = profile.join("examples").join(name);
        if !is_fresh(&program).unwrap_or(false) {
            build(profile);
        }
        program
    })
}

/// Returns whether the program is newer than every file that cargo lists as a source of it.
fn is_fresh(program: &Path) -> io::Result<bool> {
    let built = fs::metadata(program)?.modified()?;
    let sources = fs::read_to_string(program.with_extension("d"))?;
    for source in sources.split_whitespace().skip(1) {
        if fs::metadata(source)?.modified()? > built {
            return Ok(false);
        }
    }
    Ok(true)
}

fn build(profile: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--example", "bank", "--target-dir"]);
    cargo.arg(profile.parent().unwrap());
    for (feature, is_on) in [
        ("postgres", cfg!(feature = "postgres")),
        ("mysql", cfg!(feature = "mysql")),
    ] {
        if is_on {
            cargo.args(["--features", feature]);
        }
    }
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(status.unwrap().success(), "build the example bank");
}

#[test]
fn good_files_are_posted_and_the_checks_hold() {
    let ended = Bank::new().run();
    ended.assert_sound();
    assert_eq!(ended.messages, "");
    assert_eq!(ended.figure("posted "), "2");
    assert_eq!(ended.figure("fees taken "), "1");
}

#[test]
fn a_bad_row_is_reported_with_line_and_cause_and_loses_nothing_else() {
    let rows = [
        ("3,1,2,-5,0", "column `cents`: must be from 1 to"),
        (
            "4,1,2,12.50,0",
            "column `cents`: expected a whole number, found \"12.50\"",
        ),
        (
            "5,1,2,99999999999999999999,0",
            "column `cents`: expected a whole number",
        ),
        (
            "6,1,2,,0",
            "column `cents`: expected a whole number, found \"\"",
        ),
        ("7,1,2,5", "expected 5 fields, found 4"),
        ("8,1,2,5,0,EUR", "expected 5 fields, found 6"),
        ("9,1,1,5,0", "debtor and creditor are the same account"),
        ("10,1,\"2,5,0", "a quote is opened and not closed"),
        ("11,1,2,5,-1", "column `fee`: must be from 0 to"),
        ("1,1,2,5,0", "column `id`: taken by line 2"),
        ("12,0,2,5,0", "column `debtor`: must be 1 or more"),
    ];
    for end in ["\n", "\r\n", "\n\n"] {
        let lines = rows.map(|(row, _)| row).join(end);
        let transfers =
            format!("id,debtor,creditor,cents,fee{end}1,1,2,500,25{end}{lines}{end}2,1,2,100,0");
        let ended = Bank::new().with("transfers.csv", transfers).run();
        ended.assert_sound();
        assert_eq!(ended.figure("posted "), "2");
        assert_eq!(ended.figure("malformed row"), rows.len().to_string());
        for (index, (_, cause)) in rows.iter().enumerate() {
            let line = match end {
                "\n\n" => 5 + 2 * index,
                _ => 3 + index,
            };
            let cause = cause.replace("line 2", if end == "\n\n" { "line 3" } else { "line 2" });
            let wanted = format!("transfers.csv:{line}: {cause}");
            assert!(
                ended.messages.contains(&wanted),
                "no {wanted:?}: {}",
                ended.messages
            );
        }
    }
}

#[test]
fn a_bad_account_is_reported_and_its_transfers_are_refused() {
    let accounts = "id,owner,cents\n1,Ada,1000\n2,Jo,lots\n3,Kim,5\n";
    let transfers = "id,debtor,creditor,cents,fee\n1,1,2,10,0\n2,1,3,10,0\n";
    let bank = Bank::new().with("accounts.csv", accounts);
    let ended = bank.with("transfers.csv", transfers).run();
    ended.assert_sound();
    assert!(ended.messages.contains("accounts.csv:3: column `cents`"));
    assert_eq!(ended.figure("unknown account"), "1");
    assert_eq!(ended.figure("posted "), "1");
}

#[test]
fn a_transfer_that_cannot_be_is_refused_and_leaves_no_trace() {
    let transfers = "id,debtor,creditor,cents,fee\n1,1,2,5000,0\n2,1,77,10,0\n3,77,1,10,0\n";
    let ended = Bank::new().with("transfers.csv", transfers).run();
    ended.assert_sound();
    assert_eq!(ended.figure("posted "), "0");
    assert_eq!(ended.figure("overdraft"), "1");
    assert_eq!(ended.figure("unknown account"), "2");
}

#[test]
fn a_fee_that_cannot_be_paid_is_skipped_alone() {
    let transfers = "id,debtor,creditor,cents,fee\n1,1,2,1000,25\n";
    let ended = Bank::new().with("transfers.csv", transfers).run();
    ended.assert_sound();
    assert_eq!(ended.figure("posted "), "1");
    assert_eq!(ended.figure("fees skipped"), "1");
}

#[test]
fn a_file_that_is_missing_is_named() {
    let bank = Bank::new();
    fs::remove_file(bank.file("transfers.csv")).unwrap();
    let expected =
        "transfers.csv: expected a CSV file with the columns id, debtor, creditor, cents, fee: ";
    bank.run().assert_refused(&[expected, "os error 2"]);
}

#[test]
fn a_file_that_is_no_csv_is_named_with_what_was_expected() {
    for content in [
        "{\"transfers\": []}",
        "id;debtor;creditor;cents;fee\n1;1;2;5;0",
        "<html>\n</html>",
        "\u{1}\u{0}",
    ] {
        let ended = Bank::new().with("transfers.csv", content).run();
        ended.assert_refused(&["transfers.csv: expected a CSV file", "in its first line"]);
    }
}

#[test]
fn a_missing_column_is_named() {
    let accounts = "id,owner\n1,Ada\n";
    let ended = Bank::new().with("accounts.csv", accounts).run();
    ended.assert_refused(&[
        "accounts.csv",
        "no column cents in its first line \"id,owner\"",
    ]);
}

#[test]
fn an_empty_file_is_no_csv() {
    for content in ["", "\n \n"] {
        let ended = Bank::new().with("accounts.csv", content).run();
        ended.assert_refused(&["accounts.csv", "the file is empty"]);
    }
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_with_the_line() {
    let accounts = b"id,owner,cents\n1,Ada,1000\n2,Zo\xeb,0\n";
    let ended = Bank::new().with("accounts.csv", accounts).run();
    ended.assert_refused(&["accounts.csv", "line 3 is not UTF-8"]);
}

#[test]
fn a_byte_order_mark_and_columns_in_another_order_are_fine() {
    let accounts = format!(
        "\u{feff}cents,id,owner,note\n1000,1,Ada,\n0,2,{},new\n",
        "Zoë"
    );
    let ended = Bank::new().with("accounts.csv", accounts).run();
    ended.assert_sound();
    assert_eq!(ended.figure("posted "), "2");
}

#[test]
fn a_refused_file_leaves_the_database_as_it_was() {
    let bank = Bank::new();
    let url = bank.url();
    bank.run_with(&["--database", &url]).assert_sound();
    let before = fs::read(bank.file("bank.db")).unwrap();
    let bank = bank.with("transfers.csv", "no csv");
    bank.run_with(&["--database", &url])
        .assert_refused(&["transfers.csv"]);
    assert_eq!(fs::read(bank.file("bank.db")).unwrap(), before);
}

#[test]
fn a_second_run_starts_anew() {
    let bank = Bank::new();
    let url = bank.url();
    for _ in 0..2 {
        let ended = bank.run_with(&["--database", &url]);
        ended.assert_sound();
        assert_eq!(ended.figure("posted "), "2");
    }
}

#[test]
fn a_database_that_it_cannot_use_is_refused_without_repeating_the_password() {
    for url in [
        "mongodb://me:secret@localhost/",
        "sqlite://me:secret@/nowhere/at/all.db",
        "secret",
    ] {
        let ended = Bank::new().run_with(&["--database", url]);
        ended.assert_refused(&["error: "]);
        assert!(!ended.messages.contains("secret@"), "{}", ended.messages);
    }
}
