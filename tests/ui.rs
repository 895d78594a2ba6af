//! These cases compile, or are refused with the words that stand beside them: see
//! `tests/ui/README.md`.
//!
//! There are two runs, because trybuild checks all cases that must fail in one `cargo check`, but
//! not if any case has to be built.

use trybuild::TestCases;

#[test]
#[cfg_attr(
    not(all(feature = "sqlite", feature = "postgres", feature = "mysql")),
    ignore = "the cases are about every engine: run with --all-features"
)]
fn annotations_that_are_right_compile_and_run() {
    TestCases::new().pass("tests/ui/pass/*.rs");
}

#[test]
#[cfg_attr(
    not(all(feature = "sqlite", feature = "postgres", feature = "mysql")),
    ignore = "the messages name every engine: run with --all-features"
)]
fn annotations_that_are_wrong_are_refused_with_advice() {
    TestCases::new().compile_fail("tests/ui/fail/*.rs");
}
