//! `#[txn::test]`. It is built like `#[transactional]`: arguments and function are parsed
//! independently, and all errors in them are reported together.

mod arguments;
mod expand;
mod function;

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::ext::IdentExt as _;

use self::arguments::Args;
use crate::error::Errors;
use crate::item::{self, Attribution, RawItem};

/// The words about `#[txn::test]` in the errors about a wrong item.
const TEST: Attribution = Attribution {
    name: "txn::test",
    purpose: "runs an `async fn` as a test",
    // A method cannot be a test.
    place: Some("a free async function"),
};

/// An annotation that keeps every rule.
struct Valid<'a> {
    args: Args,
    /// The type of the one parameter.
    parameter: &'a syn::Type,
}

/// The whole of `#[txn::test]`. Returns the tokens that take the place of the item, and the errors
/// of the annotation.
pub(crate) fn annotate(attr: TokenStream, item: TokenStream) -> (TokenStream, Errors) {
    let mut errors = Errors::default();
    let original = item.clone();
    let tokens = match item::parse(item, &TEST) {
        Err(error) => {
            errors.push(error);
            original
        }
        Ok(item) => {
            let function = item.sig.ident.unraw().to_string();
            let args = arguments::parse(attr, &function, &mut errors);
            let parameter = function::validate(&item, &function, &mut errors);
            match parameter.filter(|_| errors.is_empty()) {
                Some(parameter) => expand::expand(&item, &Valid { args, parameter }),
                None => fallback(item),
            }
        }
    };
    (tokens, errors)
}

/// The function as it is emitted when its annotation is refused: without anything that rustc would
/// report a second time, and allowed to be unused, since it is no test now.
fn fallback(mut item: RawItem) -> TokenStream {
    item.attrs.retain(|attr| !function::is_test(attr));
    let function = item.fallback();
    // `#[ignore]` and `#[should_panic]` would be called unused as well.
    let allow =
        quote_spanned!(proc_macro2::Span::mixed_site()=> #[allow(dead_code, unused_attributes)]);
    quote::quote!(#allow #function)
}
