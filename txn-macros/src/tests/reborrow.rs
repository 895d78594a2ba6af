use proc_macro2::{Ident, Span};

use super::{pretty, tokens};
use crate::reborrow::{by_tokens, parsed, reborrow};

fn reborrowed(body: &str) -> String {
    reborrow(tokens(body), Some(&session())).tokens.to_string()
}

fn session() -> Ident {
    Ident::new("tx", Span::call_site())
}

fn same(body: &str) -> String {
    tokens(body).to_string()
}

#[test]
fn plain_arguments_are_reborrowed() {
    for (body, expected) in [
        ("debit(tx, 1).await?;", "debit(&mut *tx, 1).await?;"),
        ("query.execute(tx).await", "query.execute(&mut *tx).await"),
        ("a::<T>(tx, b(tx))", "a::<T>(&mut *tx, b(&mut *tx))"),
        ("if a(tx) { b(tx) }", "if a(&mut *tx) { b(&mut *tx) }"),
        (
            "let x = async { a(tx).await };",
            "let x = async { a(&mut *tx).await };",
        ),
        (
            "let x = async move { a(tx).await };",
            "let x = async move { a(&mut *tx).await };",
        ),
        ("let f = |x| a(tx, x);", "let f = |x| a(&mut *tx, x);"),
        (
            "let Some(x) = a(tx) else { return b(tx) };",
            "let Some(x) = a(&mut *tx) else { return b(&mut *tx) };",
        ),
        ("m!(a(tx)); a(tx);", "m!(a(tx)); a(&mut *tx);"),
        ("fn g() { a(tx) } a(tx);", "fn g() { a(tx) } a(&mut *tx);"),
        (
            "fn g(tx: u8) { a(tx) } a(tx);",
            "fn g(tx: u8) { a(tx) } a(&mut *tx);",
        ),
    ] {
        let body = format!("fn f() {{ {} }}", reborrowed(body));
        let expected = format!("fn f() {{ {expected} }}");
        assert_eq!(pretty(tokens(&body)), pretty(tokens(&expected)));
    }
}

#[test]
fn other_uses_are_left_alone() {
    for body in [
        "try_join!(debit(tx, 1), credit(tx, 2))",
        "tx.set_rollback_only();",
        "debit(&mut *tx);",
        "debit(self.tx);",
        "debit(tx.db());",
        "S { tx }; [tx]; (tx, 1);",
        "let a = tx;",
        "x.apply(|a, tx, b| a + b);",
    ] {
        assert_eq!(reborrowed(body), same(body));
    }
}

#[test]
fn a_body_that_binds_the_name_again_is_left_alone() {
    for body in [
        "let tx = other(tx); a(tx);",
        "let (tx, rx) = channel(); a(tx);",
        "match x { Some(tx) => a(tx), None => b() }",
        "if let Some(tx) = x { a(tx) }",
        "a(tx); b(|tx| c(tx));",
        "for tx in all { a(tx) }",
        "fn tx() {} a(tx);",
        "let S { tx } = s; a(tx);",
    ] {
        assert_eq!(reborrowed(body), same(body));
    }
}

#[test]
fn a_body_that_does_not_parse_is_passed_through() {
    for body in ["let x = ; a(tx)", "a(tx). ; b(tx)", "a(tx) b(tx)"] {
        assert_eq!(reborrowed(body), same(body));
    }
}

#[test]
fn without_a_parser_the_same_comes_out() {
    for body in [
        "let n = query(\"…\").bind(id).execute(tx).await?; Ok(n)",
        "debit(tx, 1).await?; credit(1, tx,).await",
        "if !(a.find(tx).await?) { b::c(tx).await?; } d();",
        "let x = if !exists(tx).await { d(1).e(tx) }; x",
        "join!(a(tx), tx); f(tx).await",
        "other.lock(); a.b(|x| x.c(tx), tx);",
        "return !(a.find(tx).await?);",
        "macro_rules! m { (tx) => { tx } } a(tx).await;",
        "nothing(1);",
    ] {
        let quick = by_tokens::reborrow(&tokens(body), Some(&session()));
        let quick = quick.unwrap_or_else(|| panic!("no parser is needed: {body}"));
        let parsed = parsed(tokens(body), Some(&session())).tokens;
        let [quick, parsed] =
            [quick, parsed].map(|body| pretty(tokens(&format!("fn f() {{ {body} }}"))));
        assert_eq!(quick, parsed);
    }
}

#[test]
fn where_a_parser_is_needed_it_is_asked() {
    for body in [
        "a.execute(tx).await",
        "tx.commit(); a(tx).await;",
        "let x = f(tx);",
        "match x { Some(tx) => a(tx).await, None => b(), };",
        "a.b(|tx| c(tx).d());",
        "return (tx).e();",
        "a.b::<C>(tx);",
        "S { tx }.f();",
        "(tx, 1).f();",
    ] {
        let quick = by_tokens::reborrow(&tokens(body), Some(&session()));
        assert!(quick.is_none(), "{body}");
    }
}
