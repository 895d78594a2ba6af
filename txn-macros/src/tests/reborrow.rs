use proc_macro2::{Ident, Span};

use super::{pretty, tokens};
use crate::reborrow::reborrow;

fn reborrowed(body: &str) -> String {
    reborrow(tokens(body), &Ident::new("tx", Span::call_site())).to_string()
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
