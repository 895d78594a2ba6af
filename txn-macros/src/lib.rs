//! The attribute macros of `txn-rs`. Use them through the facade, as `txn::transactional` and
//! `txn::test`.
//!
//! A macro is a pure function from the tokens of the attribute and of the item to the tokens to
//! emit and a list of errors. Its steps are modules: `args` and `item` parse, `validate` has every
//! rule, and `expand` takes only what `validate` has returned.

mod args;
mod error;
mod expand;
mod item;
mod reborrow;
mod test_attr;
mod text;
mod validate;

#[cfg(test)]
mod tests;

#[doc = include_str!("transactional.md")]
#[proc_macro_attribute]
pub fn transactional(
    attr: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    emit(annotate(attr.into(), item.into()))
}

#[doc = include_str!("test.md")]
#[proc_macro_attribute]
pub fn test(
    attr: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    emit(test_attr::annotate(attr.into(), item.into()))
}

/// Emits the errors in front of the tokens.
fn emit((tokens, errors): (proc_macro2::TokenStream, error::Errors)) -> proc_macro::TokenStream {
    let errors = errors.into_compile_errors();
    quote::quote!(#errors #tokens).into()
}

/// The words about `#[transactional]` in the errors about a wrong item.
const TRANSACTIONAL: item::Attribution = item::Attribution {
    name: "transactional",
    purpose: "runs an `async fn` in a transaction",
    place: None,
};

/// The whole of `#[transactional]`. Returns the tokens that take the place of the item, and the
/// errors of the annotation. If there are errors, the function is still emitted, so that the user
/// does not get an error for each of its calls too.
fn annotate(
    attr: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> (proc_macro2::TokenStream, error::Errors) {
    let mut errors = error::Errors::default();
    let args = args::parse(attr, &mut errors);
    let original = item.clone();
    let tokens = match item::parse(item, &TRANSACTIONAL) {
        Err(error) => {
            errors.push(error);
            original
        }
        Ok(item) => match validate::validate(args, &item, &mut errors) {
            Some(valid) => expand::expand(&item, &valid),
            None => item.fallback(),
        },
    };
    (tokens, errors)
}
