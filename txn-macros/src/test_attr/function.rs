//! Every rule about a function that `#[txn::test]` makes a test.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, FnArg, GenericArgument, Pat, PatType, PathArguments, ReturnType, Type};

use crate::error::Errors;
use crate::item::RawItem;
use crate::text::text;
use crate::validate::{opaque, plain};

/// Checks the function, and returns the type of its one parameter.
pub(super) fn validate<'a>(
    item: &'a RawItem,
    function: &str,
    errors: &mut Errors,
) -> Option<&'a Type> {
    refuse_other_tests(item, function, errors);
    refuse_qualifiers(item, function, errors);
    refuse_generics(item, function, errors);
    refuse_opaque_output(item, function, errors);
    parameter(item, function, errors)
}

/// Returns whether an attribute makes a test of its own: `#[test]`, `#[tokio::test]`.
pub(super) fn is_test(attr: &Attribute) -> bool {
    let last = attr.path().segments.last();
    last.is_some_and(|last| last.ident == "test")
}

/// Refuses attributes that would run the function a second time.
fn refuse_other_tests(item: &RawItem, function: &str, errors: &mut Errors) {
    for attr in item.attrs.iter().filter(|attr| is_test(attr)) {
        let other = text(attr.path());
        let message = format!(
            "`#[{other}]` would run `{function}` a second time: remove it, `#[txn::test]` is enough"
        );
        errors.at(attr, message);
    }
}

/// Refuses a function without a body, and every qualifier except `async`.
fn refuse_qualifiers(item: &RawItem, function: &str, errors: &mut Errors) {
    let sig = &item.sig;
    let sync = sig.asyncness.is_none() && sig.constness.is_none();
    let bodiless = item.body.is_none();
    let fix = format!("write `async fn {function}`");
    let faults = [
        bodiless.then(|| fault(&sig.ident, "has no body to run: write one")),
        sig.constness.map(|constness| {
            let wrong = "is a `const fn`, which cannot await its database";
            fault(constness, format!("{wrong}: {fix}"))
        }),
        sync.then(|| {
            let wrong = "is not async, but its database is awaited";
            fault(sig.fn_token, format!("{wrong}: {fix}"))
        }),
        sig.unsafety.map(|unsafety| {
            let wrong = "is `unsafe`, but the test harness that calls it promises nothing";
            fault(unsafety, format!("{wrong}: {fix}"))
        }),
        sig.abi.as_ref().map(|abi| {
            let wrong = format!(
                "is `{}`, but the test harness calls it from Rust",
                text(abi)
            );
            fault(abi, format!("{wrong}: {fix}"))
        }),
        sig.variadic.as_ref().map(|variadic| {
            let wrong = "takes variadic arguments, which no async function can: remove `...`";
            fault(variadic, wrong)
        }),
    ];
    for (tokens, wrong) in faults.into_iter().flatten() {
        errors.at(tokens, format!("`{function}` {wrong}"));
    }
}

/// An error as the place that it points at, and the sentence after the function's name.
fn fault(tokens: impl ToTokens, wrong: impl Into<String>) -> (TokenStream, String) {
    (tokens.to_token_stream(), wrong.into())
}

/// Refuses a generic function.
fn refuse_generics(item: &RawItem, function: &str, errors: &mut Errors) {
    let generics = &item.sig.generics;
    if !generics.params.is_empty() {
        let found = text(generics);
        let message = format!(
            "`{function}` is generic, `{found}`, but a test has no caller to choose: name the \
             types, as in `async fn {function}(db: Db<Sqlite>)`"
        );
        errors.at(generics, message);
    }
}

/// Refuses a return type that has no name.
fn refuse_opaque_output(item: &RawItem, function: &str, errors: &mut Errors) {
    if let ReturnType::Type(_, ty) = &item.sig.output
        && let Some(opaque) = opaque(ty)
    {
        let found = text(opaque);
        let message = format!(
            "`{function}` returns `{found}`, but what a test returns must have a name: write it, \
             as in `Result<(), Error>`"
        );
        errors.at(opaque, message);
    }
}

/// Returns the type of the function's parameter, if it has exactly one that a test can be given.
fn parameter<'a>(item: &'a RawItem, function: &str, errors: &mut Errors) -> Option<&'a Type> {
    let fix = format!("write `async fn {function}(db: Db<Sqlite>)`");
    if let Some(receiver) = item.sig.receiver() {
        let found = text(receiver);
        let message = format!(
            "`{function}` takes `{found}`, but a test is called on nothing: move it out of the \
             `impl` and {fix}"
        );
        errors.at(receiver, message);
        return None;
    }
    let typed: Vec<&PatType> = item.sig.inputs.iter().filter_map(typed).collect();
    match typed.as_slice() {
        [] => {
            let message = format!("`{function}` has no parameter for its database: {fix}");
            errors.at(&item.sig.ident, message);
            None
        }
        [only] => sound(only, function, errors),
        [first, second, ..] => {
            refuse_more(&typed, first, second, function, errors);
            None
        }
    }
}

/// The parameter, unless it is `self`.
fn typed(input: &FnArg) -> Option<&PatType> {
    match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    }
}

/// Refuses more than one parameter. The error points at one that is not the database.
fn refuse_more(
    all: &[&PatType],
    first: &PatType,
    second: &PatType,
    function: &str,
    errors: &mut Errors,
) {
    let database = all.iter().find(|typed| is_database(&typed.ty));
    let fix = database.map_or_else(
        || format!("write `async fn {function}(db: Db<Sqlite>)`"),
        |typed| format!("keep `{}`", text(typed)),
    );
    let surplus = match database {
        Some(database) if std::ptr::eq(*database, first) => second,
        Some(_) => first,
        None => second,
    };
    let count = all.len();
    let message = format!(
        "`{function}` takes {count} parameters, but a test is given only its database: {fix}"
    );
    errors.at(surplus, message);
}

/// Checks that a test can be given a parameter of this type.
fn sound<'a>(typed: &'a PatType, function: &str, errors: &mut Errors) -> Option<&'a Type> {
    let name = match &*typed.pat {
        Pat::Ident(pat) => pat.ident.to_string(),
        _ => "db".to_owned(),
    };
    if let Some(opaque) = opaque(&typed.ty) {
        let found = text(opaque);
        let message = format!(
            "`{function}` takes `{found}`, but a test has no caller to choose a type: write \
             `{name}: Db<Sqlite>`"
        );
        errors.at(opaque, message);
        return None;
    }
    if let Type::Reference(reference) = plain(&typed.ty) {
        let (found, owned) = (text(&typed.ty), owned(&reference.elem));
        let message =
            format!("`{function}` takes `{found}`, but a test owns its database: write `{owned}`");
        errors.at(&typed.ty, message);
        return None;
    }
    Some(&typed.ty)
}

/// The parameter that should have been written.
///
/// Input:  `Tx<Postgres>`, `Sandbox<MySql>`, `PgTx`
/// Output: `db: Db<Postgres>`, `db: Sandbox<MySql>`, `db: Db<Sqlite>`
fn owned(ty: &Type) -> String {
    if is_database(ty) {
        return format!("db: {}", text(ty));
    }
    let engine = engine(ty).unwrap_or_else(|| "Sqlite".to_owned());
    format!("db: Db<{engine}>")
}

/// Returns whether the type is a `Db` or a `Sandbox` that names its engine.
fn is_database(ty: &Type) -> bool {
    let (Type::Path(path), Some(_)) = (plain(ty), engine(ty)) else {
        return false;
    };
    let last = path.path.segments.last();
    last.is_some_and(|last| last.ident == "Db" || last.ident == "Sandbox")
}

/// The engine that a type names.
///
/// Input:  `Tx<Postgres>`
/// Output: `Postgres`
fn engine(ty: &Type) -> Option<String> {
    let Type::Path(path) = plain(ty) else {
        return None;
    };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(engine) => Some(text(engine.to_token_stream())),
        _ => None,
    }
}
