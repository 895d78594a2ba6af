//! Finds the failed tests in the output of `cargo test`.

/// The parser of the output of one run.
#[derive(Default)]
pub(crate) struct Failures {
    /// True if the previous line was part of a list of names.
    listing: bool,
    /// The names in the last list. A panic may have printed a list too, so only the last one before
    /// the result counts.
    listed: Vec<String>,
    /// The failed tests of this target. Documentation tests have several results per target.
    tests: Vec<String>,
    found: Vec<String>,
}

impl Failures {
    pub(crate) fn line(&mut self, line: &str) {
        let name = line.strip_prefix("    ").filter(|_| self.listing);
        if let Some(name) = name {
            self.listed.push(name.to_owned());
            return;
        }
        self.listing = line == "failures:";
        if self.listing {
            self.listed.clear();
        } else if line.starts_with("test result: FAILED") {
            self.tests.append(&mut self.listed);
        } else if let Some(target) = target(line) {
            self.target(target);
        }
    }

    /// Returns an entry for each failed test, with its target. A target that named no test has an
    /// entry of its own.
    pub(crate) fn found(self) -> Vec<String> {
        self.found
    }

    fn target(&mut self, target: &str) {
        if self.tests.is_empty() {
            self.found.push(target.to_owned());
        }
        let tests = self.tests.drain(..);
        self.found
            .extend(tests.map(|test| format!("{target}: {test}")));
        self.listed.clear();
    }
}

/// Returns the target from cargo's line at the end of a failed target.
fn target(line: &str) -> Option<&str> {
    let (_, rest) = line
        .strip_prefix("error: ")?
        .split_once("to rerun pass `")?;
    rest.strip_suffix('`')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(output: &str) -> Vec<String> {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.line(line));
        failures.found()
    }

    #[test]
    fn each_test_that_failed_is_named_with_its_target() {
        let output = "
     Running tests/one.rs (target/debug/deps/one-d4f080e9771d688c)

running 3 tests
test m::a ... FAILED
test m::b ... FAILED
test m::c ... ok

failures:

---- m::a stdout ----
no reason

failures:
    m::a
    m::b

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s

error: test failed, to rerun pass `-p probe --test one`
     Running tests/two.rs (target/debug/deps/two-60780347d2385de0)

running 1 test
test d ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s

error: 1 target failed:
    `-p probe --test one`
";
        assert_eq!(
            found(output),
            ["-p probe --test one: m::a", "-p probe --test one: m::b"]
        );
    }

    #[test]
    fn a_target_that_crashed_is_named_alone() {
        let output = "
running 1 test
error: test failed, to rerun pass `--test two`

Caused by:
  process didn't exit successfully: `two` (signal: 6, SIGABRT: process abort signal)
error: 1 target failed:
    `--test two`
";
        assert_eq!(found(output), ["--test two"]);
    }

    #[test]
    fn output_of_a_test_is_not_taken_for_a_failure() {
        let output = "
failures:

---- a stdout ----
test fake ... FAILED
failures:
    fake
failures:
    a

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s

error: test failed, to rerun pass `--lib`
";
        assert_eq!(found(output), ["--lib: a"]);
    }

    #[test]
    fn documentation_has_several_results() {
        let output = "
failures:
    src/lib.rs - (line 1)

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s

failures:
    src/lib.rs - f (line 9) - compile fail

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s

error: doctest failed, to rerun pass `--doc`
";
        let expected = [
            "--doc: src/lib.rs - (line 1)",
            "--doc: src/lib.rs - f (line 9) - compile fail",
        ];
        assert_eq!(found(output), expected);
    }

    #[test]
    fn nothing_is_found_if_all_pass_or_nothing_was_run() {
        for output in [
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 0.06s",
            "error[E0425]: cannot find value `x` in this scope\n\
             error: could not compile `probe` (lib) due to 1 previous error",
        ] {
            assert!(found(output).is_empty(), "{output}");
        }
    }
}
