//! The expansion of a validated annotation.

use proc_macro2::{Group, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, LitStr, Path};

use super::Valid;
use crate::expand::names::{blame, led_by};
use crate::item::{RawItem, braced};

/// Input:  `#[ignore] async fn transfers(db: Db<Sqlite>) -> Ret { BODY }`
/// Output: `#[test] #[ignore] fn transfers() -> Ret {
///              async fn transfers(db: Db<Sqlite>) -> Ret { BODY }
///              run(…, transfers)
///          }`
pub(super) fn expand(item: &RawItem, valid: &Valid<'_>) -> TokenStream {
    let (of_body, of_test): (Vec<_>, Vec<_>) = item.attrs.iter().partition(|attr| is_of_body(attr));
    let RawItem { vis, sig, body, .. } = item;
    let (token, name, output) = (&sig.fn_token, &sig.ident, &sig.output);
    let krate = &valid.args.krate;
    let ty = valid.parameter;
    let setup = setup(valid);
    let test = quote_spanned!(Span::mixed_site()=> #[::core::prelude::v1::test]);
    let run = quote_spanned! {Span::mixed_site()=>
        #krate::__private::test::run::<#ty, _>(#setup, #name)
    };
    // The braces have the span of the user's, because rustc points at them if a test is wrong.
    let place = body.as_ref().map_or_else(Span::mixed_site, Group::span);
    let outer = braced(quote!(#(#of_body)* #sig #body #run), place);
    quote!(#test #(#of_test)* #vis #token #name() #output #outer)
}

/// Returns whether an attribute belongs on the async function with its parameter, and not on the
/// test.
fn is_of_body(attr: &Attribute) -> bool {
    let last = attr.path().segments.last();
    last.is_some_and(|last| last.ident == "transactional" || last.ident == "instrument")
}

/// The arguments of the attribute as a constant. It is in a block of its own, so that its name
/// cannot clash with one of the body.
fn setup(valid: &Valid<'_>) -> TokenStream {
    let (krate, env) = (&valid.args.krate, &valid.args.env);
    let migrations = valid.args.migrations.as_ref();
    let migrations = migrations.map(|path| migrate(krate, path));
    quote_spanned! {Span::mixed_site()=> {
        const SETUP: #krate::__private::test::Setup =
            #krate::__private::test::Setup::new(#env) #migrations;
        SETUP
    }}
}

/// The call that adds the migrations. Errors point at the path, because what sqlx finds wrong is in
/// that directory.
fn migrate(krate: &Path, path: &LitStr) -> TokenStream {
    let (span, _) = blame(path);
    let krate = led_by(krate, span);
    let embedded = quote_spanned!(span=> #krate::__private::migrate!(#path));
    quote_spanned!(Span::mixed_site()=> .migrations(#embedded))
}
