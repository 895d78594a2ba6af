//! Snapshots of whole expansions, one file each. `BLESS=1 cargo test -p txn-macros` rewrites them;
//! read the difference.

use std::path::Path;

use super::{annotate, expanded, tokens};

/// Compares with `snapshots/NAME.rs`.
#[track_caller]
fn snapshot(name: &str, attr: &str, item: &str) {
    compare(name, &expanded(attr, item));
}

/// The same for what is expanded already.
#[track_caller]
pub(super) fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/tests/snapshots/{name}.rs"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).expect("the snapshot can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "differs from {}", path.display());
}

#[test]
fn parameter_form() {
    snapshot(
        "parameter_form",
        "",
        "/// Takes money.
        #[instrument]
        pub(crate) async fn debit(#[allow(x)] tx: &mut PgTx, id: i64) -> Result<u64, E> {
            #![allow(y)]
            let n = query(\"…\").bind(id).execute(tx).await?;
            Ok(n)
        }",
    );
}

#[test]
fn binding_form() {
    snapshot(
        "binding_form",
        "self.state.db() as tx, nested",
        "async fn place(&self, order: Order) -> Result<Id, E> where Self: Sized { insert(tx, \
         order).await }",
    );
}

#[test]
fn borrowed_session() {
    snapshot(
        "borrowed_session",
        "&mut self.tx as tx, mandatory",
        "async fn place(&mut self) -> Result<Id, E> { insert(tx, &self.name).await }",
    );
}

#[test]
fn all_arguments() {
    snapshot(
        "all_arguments",
        "requires_new, isolation = serializable, read_only, deferrable, commit_on(| E::A(n) | \
         E::B(n) if *n > 3),
        rollback_on(None), name = \"bank.transfer\", crate = ::my::txn",
        "async unsafe fn r#move<'a, DB: Engine, const N: usize>(
            #[tx] mut conn: &mut Conn<DB>,
            (a, b): (&'a str, [u8; N]),
            f: impl Fn(u8) -> u8,
        ) -> Result<Option<&'a str>, E>
        where
            DB: Send,
        {
            f(b[0]);
            Ok(Some(a))
        }",
    );
}

#[test]
fn mandatory_and_unnamed() {
    snapshot(
        "mandatory_and_unnamed",
        "mandatory",
        "async fn check(_: &'_ mut Tx<Sqlite>) { done() }",
    );
}

#[test]
fn underscored() {
    snapshot(
        "underscored",
        "",
        "async fn check(_tx: &mut Tx<Sqlite>) -> Result<(), E> { Ok(()) }",
    );
}

#[test]
fn async_trait_method() {
    snapshot(
        "async_trait_method",
        "self.db as tx",
        "fn save<'life0, 'async_trait>(
            &'life0 self,
            id: i64,
        ) -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = Result<u64, E>> + \
         ::core::marker::Send + 'async_trait>>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async move {
                if let ::core::option::Option::Some(__ret) = \
                    ::core::option::Option::None::<Result<u64, E>> {
                    #[allow(unreachable_code)]
                    return __ret;
                }
                let __self = self;
                let id = id;
                let __ret: Result<u64, E> = { debit(tx, id).await };
                #[allow(unreachable_code)]
                __ret
            })
        }",
    );
}

#[test]
fn a_half_typed_body_is_passed_through() {
    for (body, emitted) in [
        ("tx.", "tx."),
        ("let n =", "let n ="),
        // A certain call is also recognised in a body that does not parse.
        (
            "debit(tx).await? let x = 1;",
            "debit(&mut *tx).await? let x = 1;",
        ),
        ("match x", "match x"),
        ("if tx. { a(tx) }", "if tx. { a(tx) }"),
    ] {
        let item = format!("async fn f(tx: &mut PgTx) -> Result<u64, E> {{ {body} }}");
        let (expansion, errors) = annotate(tokens(""), tokens(&item));
        assert!(errors.messages().is_empty());
        assert!(
            expansion.to_string().contains(&tokens(emitted).to_string()),
            "{body}"
        );
    }
}
