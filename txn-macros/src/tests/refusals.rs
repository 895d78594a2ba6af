//! Every message about the function and its session, and what is emitted beside it.

use super::{messages, pretty, tokens};
use crate::annotate;

#[track_caller]
fn refused(attr: &str, item: &str, message: &str) {
    assert_eq!(
        messages(attr, item),
        [message],
        "#[transactional({attr})] {item}"
    );
}

#[test]
fn what_is_not_an_async_function_is_refused() {
    for (item, message) in [
        (
            "fn f(tx: &mut Tx<Sqlite>) -> R { x }",
            "`f` is not async, but its transaction has to be awaited: write `async fn f`",
        ),
        (
            "const fn f(tx: &mut Tx<Sqlite>) -> R { x }",
            "`f` is a `const fn`, which cannot await a transaction: write `async fn f`",
        ),
        (
            "async extern \"C\" fn f(tx: &mut Tx<Sqlite>) -> R { x }",
            "`f` is `extern \"C\"`, but foreign callers cannot await a transaction: write `async \
             fn f`",
        ),
        (
            "async fn f(tx: &mut Tx<Sqlite>, rest: ...) -> R { x }",
            "`f` takes variadic arguments, which no async function can: remove `...`",
        ),
        (
            "async fn f(tx: &mut Tx<Sqlite>) -> R;",
            "`f` has no body to run in a transaction: move `#[transactional]` to its \
             implementation",
        ),
    ] {
        refused("", item, message);
    }
}

#[test]
fn a_return_type_must_have_a_name() {
    for (ty, shown) in [
        ("impl Future<Output = R>", "impl Future<Output = R>"),
        ("Result<T, impl Sized>", "impl Sized"),
        ("Option<impl Sized>", "impl Sized"),
    ] {
        refused(
            "",
            &format!("async fn f(tx: &mut Tx<Sqlite>) -> {ty} {{ x }}"),
            &format!(
                "`f` returns `{shown}`, but a type without a name cannot say whether to commit: \
                 write a `Result` whose error type has a name, as in `Result<impl Trait, Error>`"
            ),
        );
    }
    refused(
        "",
        "async fn f(tx: &mut Tx<Sqlite>) -> ! { x }",
        "`f` never returns, so it can never commit: write `-> Result<(), Error>`",
    );
}

#[test]
fn other_items_are_refused_by_kind() {
    for (item, kind, advice) in [
        ("struct S;", "a struct", "move it to an async function"),
        ("enum S {}", "an enum", "move it to an async function"),
        (
            "impl S {}",
            "an impl block",
            "move it to the async methods inside",
        ),
        (
            "trait S {}",
            "a trait",
            "move it to the async methods of the implementation",
        ),
        (
            "mod s {}",
            "a module",
            "move it to the async functions inside",
        ),
        (
            "static S: u8 = 1;",
            "this kind of item",
            "move it to an async function",
        ),
    ] {
        let message = format!(
            "`#[transactional]` cannot be applied to {kind}, it runs an `async fn` in a \
             transaction: {advice}"
        );
        refused("", item, &message);
    }
}

#[test]
fn a_function_without_a_session_is_told_how_to_get_one() {
    refused(
        "",
        "async fn f(id: i64) -> R { x }",
        "`f` has no session: add `tx: &mut Tx<DB>`, or write `#[transactional(db as tx)]`",
    );
    refused(
        "",
        "async fn f(&self) -> R { x }",
        "`f` has no session: add `tx: &mut Tx<DB>`, or write `#[transactional(self.db as tx)]`",
    );
    refused(
        "",
        "async fn f(conn: &mut Conn<A>) -> R { x }",
        "`f` has no session: add `tx: &mut Tx<DB>`, mark one, `#[tx] conn: &mut Conn<A>`, or write \
         `#[transactional(db as tx)]`",
    );
}

#[test]
fn two_sessions_are_refused() {
    refused(
        "",
        "async fn f(a: &mut Tx<A>, b: &mut PgTx) -> R { x }",
        "`f` has two sessions, `a` and `b`: mark the one to run on, write `#[tx] a: &mut Tx<A>`",
    );
    refused(
        "",
        "async fn f(#[tx] a: &mut Tx<A>, #[tx] b: &mut Conn) -> R { x }",
        "`f` has two sessions, `a` and `b`: remove one `#[tx]`",
    );
    refused(
        "self.db as tx",
        "async fn f(&self, b: &mut PgTx) -> R { x }",
        "`f` has two sessions, `self.db as tx` and the parameter `b`: remove the parameter, or \
         write `#[transactional]`",
    );
}

#[test]
fn a_session_is_an_exclusive_reference() {
    for (item, message) in [
        (
            "async fn f(tx: &Tx<Sqlite>) -> R { x }",
            "`f` takes the session `tx` as a shared reference, but its statements need an \
             exclusive one: write `tx: &mut Tx<Sqlite>`",
        ),
        (
            "async fn f(tx: PgTx) -> R { x }",
            "`f` takes the session `tx` by value, but it stays with the caller: write `tx: &mut \
             PgTx`",
        ),
        (
            "async fn f(#[tx] c: Conn) -> R { x }",
            "`#[tx]` marks the session of `f`, but `Conn` is not an exclusive reference: write `c: \
             &mut Conn`",
        ),
        (
            "async fn f(#[tx] c: &Conn) -> R { x }",
            "`#[tx]` marks the session of `f`, but `&Conn` is not an exclusive reference: write \
             `c: &mut Conn`",
        ),
        (
            "async fn f(#[tx] &mut self) -> R { x }",
            "`self` cannot be the session of `f`: write `#[transactional(&mut self.tx as tx)]`",
        ),
        (
            "async fn f<'a>(tx: &'a mut Tx<Sqlite>) -> R { x }",
            "the session `tx` of `f` has the lifetime `'a`, but it is lent for the call only: \
             write `tx: &mut Tx<Sqlite>`",
        ),
    ] {
        refused("", item, message);
    }
}

#[test]
fn a_source_needs_a_name_for_its_session() {
    for source in ["self.db", "&mut self.tx", "pool().await"] {
        refused(
            source,
            "async fn f(&self) -> R { x }",
            &format!(
                "the session from `{source}` has no name in the body of `f`: write `{source} as tx`"
            ),
        );
    }
    refused(
        "db, nested",
        "async fn f(db: &Db<Sqlite>) -> R { x }",
        "the session from `db` has no name in the body of `f`: write `db as tx`",
    );
    refused(
        "self.db as Tx<Sqlite>",
        "async fn f(&self) -> R { x }",
        "`as` gives the session of `f` a name, but `Tx<Sqlite>` is not one: write `self.db as tx`",
    );
}

#[test]
fn mandatory_does_not_begin() {
    refused(
        "self.db as tx, mandatory",
        "async fn f(&self) -> R { x }",
        "`mandatory` only joins, but `self.db` begins the transaction of `f`: name a session, as \
         in `&mut self.tx as tx`, or remove `mandatory`",
    );
}

#[test]
fn a_boxed_future_keeps_its_parameters_and_all_of_self() {
    let boxed = |parameter: &str| {
        format!(
            "fn f<'t>(&'t mut self, {parameter}) -> Pin<Box<dyn Future<Output = R> + Send + 't>> \
             {{ Box::pin(async move {{ x }}) }}"
        )
    };
    refused(
        "",
        &boxed("tx: &'t mut PgTx"),
        "`f` returns a boxed future (`#[async_trait]` makes one), so its parameters cannot change: \
         remove `tx` and write `#[transactional(self.db as tx)]`",
    );
    refused(
        "&mut self.tx as tx",
        &boxed(""),
        "the boxed future of `f` (`#[async_trait]` makes one) takes all of `self`, so `&mut \
         self.tx` cannot be lent beside it: hold a `Db` and write `self.db as tx`",
    );
}

#[test]
fn a_refused_boxed_future_is_not_made_async_as_well() {
    let item = "fn f(tx: &mut PgTx) -> Pin<Box<dyn Future<Output = R>>> { Box::pin(async move { \
                x.await }) }";
    assert!(emitted("", item).starts_with("fn f("));
}

/// The tokens that are emitted beside the errors, as a formatted file.
fn emitted(attr: &str, item: &str) -> String {
    pretty(annotate(tokens(attr), tokens(item)).0)
}

#[test]
fn a_refused_function_is_emitted_without_its_marks() {
    let refused = emitted("", "/// Doc.\npub fn f(#[tx] #[cfg(a)] c: Conn) -> R { x }");
    assert_eq!(
        refused,
        "/// Doc.\npub fn f(#[cfg(a)] c: Conn) -> R {\n    x\n}\n"
    );
}

#[test]
fn a_refused_function_does_not_fail_for_its_awaits_too() {
    assert!(emitted("", "fn f(tx: &mut PgTx) -> R { a().await }").starts_with("async fn f("));
    assert!(emitted("", "const async fn f(tx: &mut PgTx) -> R { x }").starts_with("async fn f("));
}

#[test]
fn a_wrong_argument_does_not_change_the_signature_that_callers_see() {
    assert!(
        emitted("isolaton = x", "async fn f(tx: &mut PgTx) -> R { x }")
            .contains("::txn::Source<PgTx>")
    );
}
