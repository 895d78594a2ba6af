//! `#[txn::test]`: every message, and what is emitted.

use super::expansion::compare;
use super::{pretty, tokens};
use crate::test_attr::annotate;

const FUNCTION: &str = "async fn f(db: Db<Sqlite>) -> Result<(), E> { Ok(()) }";

fn messages(attr: &str, item: &str) -> Vec<String> {
    annotate(tokens(attr), tokens(item)).1.messages()
}

#[track_caller]
fn refused(attr: &str, item: &str, expected: &[&str]) {
    assert_eq!(
        messages(attr, item),
        expected,
        "#[txn::test({attr})] {item}"
    );
}

#[track_caller]
fn snapshot(name: &str, attr: &str, item: &str) {
    let (tokens, errors) = annotate(tokens(attr), tokens(item));
    assert_eq!(errors.messages(), Vec::<String>::new());
    compare(name, &pretty(tokens));
}

/// The tokens that are emitted beside the errors.
fn emitted(attr: &str, item: &str) -> String {
    let (tokens, errors) = annotate(tokens(attr), tokens(item));
    assert!(!errors.is_empty());
    pretty(tokens)
}

#[test]
fn expansion() {
    snapshot(
        "test",
        "",
        "/// Moves money.
        #[ignore]
        #[should_panic]
        pub(crate) async fn transfers(#[allow(x)] mut db: Db<Sqlite>) -> Result<(), E> {
            #![allow(y)]
            run(&mut db).await
        }",
    );
}

#[test]
fn expansion_with_all_arguments() {
    snapshot(
        "test_with_all_arguments",
        "migrations = \"migrations\", env = \"BANK_DATABASE_URL\", crate = ::my::txn",
        "#[tracing::instrument]
        #[cfg(unix)]
        #[txn::transactional(_db as tx)]
        async fn r#move(_db: Sandbox<Postgres>) {}",
    );
}

#[test]
fn valid_arguments_are_accepted() {
    for attr in [
        "",
        "env = \"URL\",",
        "env = r\"URL_2\"",
        "migrations = \"../sql/migrations\", crate = crate",
        "crate = ::my::txn",
    ] {
        refused(attr, FUNCTION, &[]);
    }
}

#[test]
fn a_lone_name_is_a_directory_of_the_crate() {
    for (written, passed_on) in [
        ("migrations", "./migrations"),
        ("migrations/", "./migrations/"),
        ("./migrations", "./migrations"),
        ("sql/migrations", "sql/migrations"),
    ] {
        let attr = format!("migrations = \"{written}\"");
        let (expansion, _) = annotate(tokens(&attr), tokens(FUNCTION));
        let expected = format!("migrate!(\"{passed_on}\")");
        assert!(pretty(expansion).contains(&expected), "{written}");
    }
}

#[test]
fn an_unknown_argument_is_guessed_and_the_valid_ones_are_listed() {
    let valid = "(valid arguments: `migrations`, `env`, `crate`)";
    refused(
        "migration = \"migrations\", fixtures(\"a\")",
        FUNCTION,
        &[
            &format!("`migration` on `f` is no argument, did you mean `migrations`? {valid}"),
            &format!("`fixtures` on `f` is no argument {valid}"),
        ],
    );
}

#[test]
fn an_argument_has_a_name() {
    refused(
        "\"migrations\"",
        FUNCTION,
        &[
            "`\"migrations\"` on `f` is an argument without a name: write `migrations = \
             \"migrations\"`",
        ],
    );
    refused(
        "5, ,env = \"URL\"",
        FUNCTION,
        &[
            "`5` on `f` is no argument (valid arguments: `migrations`, `env`, `crate`)",
            "a comma without an argument before it: remove it",
        ],
    );
}

#[test]
fn an_argument_is_there_once() {
    refused(
        "env = \"A\", env = \"B\"",
        FUNCTION,
        &["`env` is there twice on `f`: remove one `env`"],
    );
}

#[test]
fn values_are_texts() {
    let env = "`env` on `f` needs a text in quotes: write";
    let migrations = "`migrations` on `f` needs a text in quotes: write";
    for (attr, message) in [
        ("env", format!("{env} `env = \"TEST_DATABASE_URL\"`")),
        ("env = BANK_URL", format!("{env} `env = \"BANK_URL\"`")),
        ("env(\"BANK_URL\")", format!("{env} `env = \"BANK_URL\"`")),
        (
            "migrations",
            format!("{migrations} `migrations = \"migrations\"`"),
        ),
        (
            "migrations = sql",
            format!("{migrations} `migrations = \"sql\"`"),
        ),
        (
            "crate = \"my::txn\"",
            "`crate` on `f` needs a path: write `crate = my::txn`".into(),
        ),
    ] {
        refused(attr, FUNCTION, &[&message]);
    }
}

#[test]
fn texts_are_not_empty() {
    refused(
        "env = \"\", migrations = \" \"",
        FUNCTION,
        &[
            "`env` on `f` is empty: write `env = \"TEST_DATABASE_URL\"`",
            "`migrations` on `f` is empty: write `migrations = \"migrations\"`",
        ],
    );
}

#[test]
fn a_variable_is_no_url_and_a_path_is_relative() {
    refused(
        "env = \"postgres://localhost/bank\", migrations = \"/srv/migrations\"",
        FUNCTION,
        &[
            "`env` on `f` needs the name of an environment variable, which holds the URL: write \
             `env = \"TEST_DATABASE_URL\"`",
            "`migrations` on `f` is an absolute path, but counts from the directory of \
             `Cargo.toml`: write `migrations = \"migrations\"`",
        ],
    );
}

#[test]
fn what_is_not_an_async_function_is_refused() {
    for (item, message) in [
        (
            "fn f(db: Db<Sqlite>) { x }",
            "`f` is not async, but its database is awaited: write `async fn f`",
        ),
        (
            "const fn f(db: Db<Sqlite>) { x }",
            "`f` is a `const fn`, which cannot await its database: write `async fn f`",
        ),
        (
            "async unsafe fn f(db: Db<Sqlite>) { x }",
            "`f` is `unsafe`, but the test harness that calls it promises nothing: write `async fn \
             f`",
        ),
        (
            "async extern \"C\" fn f(db: Db<Sqlite>) { x }",
            "`f` is `extern \"C\"`, but the test harness calls it from Rust: write `async fn f`",
        ),
        (
            "async fn f(db: Db<Sqlite>, rest: ...) { x }",
            "`f` takes variadic arguments, which no async function can: remove `...`",
        ),
        (
            "async fn f(db: Db<Sqlite>);",
            "`f` has no body to run: write one",
        ),
    ] {
        refused("", item, &[message]);
    }
}

#[test]
fn other_items_are_refused_by_kind() {
    for (item, kind) in [
        ("struct S;", "a struct"),
        ("impl S {}", "an impl block"),
        ("mod s {}", "a module"),
        ("static S: u8 = 1;", "this kind of item"),
    ] {
        let message = format!(
            "`#[txn::test]` cannot be applied to {kind}, it runs an `async fn` as a test: move it \
             to a free async function"
        );
        refused("", item, &[&message]);
    }
}

#[test]
fn nothing_is_left_for_a_caller_to_choose() {
    for (item, message) in [
        (
            "async fn f<DB: Engine>(db: Db<DB>) { x }",
            "`f` is generic, `<DB: Engine>`, but a test has no caller to choose: name the types, \
             as in `async fn f(db: Db<Sqlite>)`",
        ),
        (
            "async fn f(db: impl Source<PgTx>) { x }",
            "`f` takes `impl Source<PgTx>`, but a test has no caller to choose a type: write `db: \
             Db<Sqlite>`",
        ),
        (
            "async fn f(db: Db<Sqlite>) -> Result<(), impl Debug> { x }",
            "`f` returns `impl Debug`, but what a test returns must have a name: write it, as in \
             `Result<(), Error>`",
        ),
    ] {
        refused("", item, &[message]);
    }
}

#[test]
fn a_test_has_one_parameter() {
    let fix = "write `async fn f(db: Db<Sqlite>)`";
    for (item, message) in [
        (
            "async fn f() { x }",
            format!("`f` has no parameter for its database: {fix}"),
        ),
        (
            "async fn f(&self, db: Db<Sqlite>) { x }",
            format!(
                "`f` takes `&self`, but a test is called on nothing: move it out of the `impl` \
                     and {fix}"
            ),
        ),
        (
            "async fn f(a: A, b: B, c: C) { x }",
            format!("`f` takes 3 parameters, but a test is given only its database: {fix}"),
        ),
        (
            "async fn f(n: i64, shop: txn::Sandbox<MySql>) { x }",
            "`f` takes 2 parameters, but a test is given only its database: keep `shop: \
             txn::Sandbox<MySql>`"
                .into(),
        ),
    ] {
        refused("", item, &[&message]);
    }
}

#[test]
fn a_test_owns_its_database() {
    for (ty, fix) in [
        ("&Db<Postgres>", "db: Db<Postgres>"),
        ("&mut Sandbox<Sqlite>", "db: Sandbox<Sqlite>"),
        ("&mut Tx<MySql>", "db: Db<MySql>"),
        ("(&mut PgTx)", "db: Db<Sqlite>"),
    ] {
        refused(
            "",
            &format!("async fn f(tx: {ty}) {{ x }}"),
            &[&format!(
                "`f` takes `{ty}`, but a test owns its database: write `{fix}`"
            )],
        );
    }
}

#[test]
fn a_second_test_attribute_is_refused() {
    for other in ["test", "tokio::test", "txn::test"] {
        let item = format!("#[{other}] {FUNCTION}");
        let message = format!(
            "`#[{other}]` would run `f` a second time: remove it, `#[txn::test]` is enough"
        );
        refused("", &item, &[&message]);
        assert!(!emitted("", &item).contains("test"));
    }
}

#[test]
fn all_faults_are_reported_together() {
    let f = "#[test] unsafe fn f<T>(db: &T) -> impl Sized { x }";
    assert_eq!(messages("env, env, migration, \"\"", f).len(), 10);
}

#[test]
fn a_refused_function_is_emitted_and_not_called_unused() {
    assert_eq!(
        emitted("", "/// Doc.\n#[ignore] fn f(a: A, b: B) { a.await }"),
        "#[allow(dead_code, unused_attributes)]\n/// Doc.\n#[ignore]\nasync fn f(a: A, b: B) \
         {\n    a.await\n}\n"
    );
}

#[test]
fn a_half_typed_body_is_passed_through() {
    for body in ["db.", "let n =", "match x"] {
        let item = format!("async fn f(db: Db<Sqlite>) {{ {body} }}");
        let (expansion, errors) = annotate(tokens(""), tokens(&item));
        assert!(errors.is_empty());
        let kept = expansion.to_string().contains(&tokens(body).to_string());
        assert!(kept, "{body}");
    }
}
