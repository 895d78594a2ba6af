//! Every message about the arguments.

use super::messages;

const FUNCTION: &str = "async fn f(tx: &mut Tx<Sqlite>) -> Result<(), E> { Ok(()) }";

#[track_caller]
fn refused(attr: &str, expected: &[&str]) {
    assert_eq!(
        messages(attr, FUNCTION),
        expected,
        "#[transactional({attr})]"
    );
}

#[test]
fn valid_arguments_are_accepted() {
    for attr in [
        "",
        "nested",
        "requires_new,",
        "mandatory, isolation = serializable",
        "nested, isolation = read_uncommitted",
        "isolation = serializable, read_only, deferrable",
        "deferrable, read_only, isolation = serializable",
        "commit_on(E::Limit)",
        "commit_on(| A | B { .. } if ready()), rollback_on(None)",
        "name = \"bank.transfer\", crate = ::my::txn",
        "crate = crate",
        "timeout = \"2s\"",
        "timeout = \"250 ms\", read_only",
    ] {
        refused(attr, &[]);
    }
}

#[test]
fn so_they_are_where_a_parameter_has_their_name() {
    for name in ["retry", "read_only", "nested", "requires_new", "mandatory"] {
        let item = format!("async fn f(tx: &mut Tx<Sqlite>, {name}: u32) -> Result<(), E> {{ x }}");
        assert_eq!(messages(name, &item), [""; 0], "{name}");
    }
}

#[test]
fn an_unknown_argument_is_guessed_and_the_valid_ones_are_listed() {
    let valid = "(valid arguments: `nested`, `requires_new`, `mandatory`, `isolation`, \
                 `read_only`, `deferrable`, \
                 `timeout`, `retry`, `commit_on`, `rollback_on`, `error`, `outcome`, `name`, \
                 `crate`)";
    let guess = format!("`isolaton` on `f` is no argument, did you mean `isolation`? {valid}");
    refused("isolaton = serializable", &[&guess]);
    let unknown = format!("`savepoint` on `f` is no argument {valid}");
    refused("savepoint", &[&unknown]);
    let unknown = format!("`propagation` on `f` is no argument {valid}");
    refused("propagation(nested)", &[&unknown]);
}

#[test]
fn a_duplicate_is_refused() {
    refused(
        "nested, nested",
        &["`nested` is there twice on `f`: remove one `nested`"],
    );
    refused(
        "commit_on(A), commit_on(B)",
        &["`commit_on` is there twice on `f`: join the patterns, `commit_on(… | B)`"],
    );
}

#[test]
fn contradictions_are_refused() {
    let all = "keep one of `nested`, `requires_new` or `mandatory`";
    refused(
        "nested, requires_new, mandatory",
        &[
            &format!("`nested` and `requires_new` contradict each other on `f`: {all}"),
            &format!("`nested` and `mandatory` contradict each other on `f`: {all}"),
        ],
    );
}

#[test]
fn deferrable_asks_for_what_it_needs() {
    let message =
        "`deferrable` on `f` takes effect only in a read-only serializable transaction: write";
    for (attr, fix) in [
        (
            "deferrable",
            "isolation = serializable, read_only, deferrable",
        ),
        (
            "deferrable, read_only",
            "isolation = serializable, deferrable",
        ),
        (
            "isolation = serializable, deferrable",
            "read_only, deferrable",
        ),
        (
            "isolation = read_committed, read_only, deferrable",
            "isolation = serializable, deferrable",
        ),
    ] {
        refused(attr, &[&format!("{message} `{fix}`")]);
    }
}

#[test]
fn a_flag_takes_no_value() {
    for attr in [
        "nested = true",
        "nested(true)",
        "nested: true",
        "nested true",
    ] {
        refused(attr, &["`nested` on `f` takes no value: write `nested`"]);
    }
    refused(
        "nested read_only",
        &["`nested` on `f` lacks a comma after it: write `nested, read_only`"],
    );
}

#[test]
fn an_isolation_level_is_a_plain_word() {
    refused(
        "isolation",
        &["`isolation` on `f` needs a level: write `isolation = serializable`"],
    );
    for (attr, written, level) in [
        (
            "isolation = \"serializable\"",
            "\"serializable\"",
            "serializable",
        ),
        (
            "isolation = \"READ COMMITTED\"",
            "\"READ COMMITTED\"",
            "read_committed",
        ),
        (
            "isolation = Isolation::RepeatableRead",
            "Isolation::RepeatableRead",
            "repeatable_read",
        ),
        (
            "isolation(read_uncommitted)",
            "read_uncommitted",
            "read_uncommitted",
        ),
    ] {
        let message = format!(
            "`isolation` on `f` is a plain word, not `{written}`: write `isolation = {level}`"
        );
        refused(attr, &[&message]);
    }
}

#[test]
fn an_unknown_isolation_level_is_guessed() {
    let valid = "(write `isolation =` with `read_uncommitted`, `read_committed`, `repeatable_read` \
                 or `serializable`)";
    refused(
        "isolation = serialisable",
        &[&format!(
            "`serialisable` on `f` is no isolation level, did you mean `serializable`? {valid}"
        )],
    );
    refused(
        "isolation = snapshot",
        &[&format!("`snapshot` on `f` is no isolation level {valid}")],
    );
}

#[test]
fn a_name_is_a_text() {
    refused(
        "name",
        &["`name` on `f` needs a text in quotes: write `name = \"bank.transfer\"`"],
    );
    refused(
        "name = foo",
        &["`name` on `f` needs a text in quotes: write `name = \"foo\"`"],
    );
    refused(
        "name(\"foo\")",
        &["`name` on `f` needs a text in quotes: write `name = \"foo\"`"],
    );
    refused(
        "name = \"\"",
        &["`name` on `f` is empty: write `name = \"bank.transfer\"`"],
    );
}

#[test]
fn a_rule_is_a_pattern() {
    let fix = "`commit_on` on `f` needs a pattern in parentheses: write";
    refused("commit_on", &[&format!("{fix} `commit_on(PATTERN)`")]);
    refused("commit_on()", &[&format!("{fix} `commit_on(PATTERN)`")]);
    refused(
        "commit_on = E::Limit",
        &[&format!("{fix} `commit_on(E::Limit)`")],
    );
    let join =
        "`rollback_on` on `f` needs a pattern: one pattern is expected, join several as in `A | B`";
    refused("rollback_on(A, B)", &[join]);
}

#[test]
fn a_crate_is_a_path() {
    refused(
        "crate = \"my::txn\"",
        &["`crate` on `f` needs a path: write `crate = my::txn`"],
    );
    refused(
        "crate",
        &["`crate` on `f` needs a path: write `crate = path::to::txn`"],
    );
}

#[test]
fn the_source_comes_first_and_once() {
    let message = "the source of the session comes first, and there is only one: write \
                   `#[transactional(SOURCE as tx, …)]`";
    let f = "async fn f(&self) -> Result<(), E> { Ok(()) }";
    assert_eq!(messages("self.db as tx, self.db as ty", f), [message]);
    assert_eq!(messages("nested, self.db as tx", f), [message]);
}

#[test]
fn all_faults_are_reported_together() {
    let f = "fn f() -> Result<(), E> { Ok(()) }";
    assert_eq!(messages("nested = true, nested, isolation", f).len(), 5);
}

#[test]
fn a_timeout_is_a_number_and_a_unit() {
    for (timeout, advice) in [
        (
            "timeout",
            "needs a duration in quotes: write `timeout = \"2s\"`",
        ),
        ("timeout = 2", "needs a unit: write `timeout = \"2s\"`"),
        (
            "timeout = \"2\"",
            "needs a unit, `ms`, `s`, `min` or `h`: write `timeout = \"2s\"`",
        ),
        (
            "timeout = \"two seconds\"",
            "needs a whole number and a unit, `ms`, `s`, `min` or `h`: write `timeout = \"2s\"`",
        ),
        (
            "timeout = \"0s\"",
            "would be over before it has begun: write `timeout = \"2s\"`",
        ),
    ] {
        refused(timeout, &[&format!("`timeout` on `f` {advice}")]);
    }
}
