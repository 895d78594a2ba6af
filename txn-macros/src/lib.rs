//! The attribute macros of `txn-rs`; use them through the facade, as `txn::transactional` and `txn::test`.

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

fn emit((tokens, errors): (proc_macro2::TokenStream, error::Errors)) -> proc_macro::TokenStream {
    let errors = errors.into_compile_errors();
    quote::quote!(#errors #tokens).into()
}

const TRANSACTIONAL: item::Attribution = item::Attribution {
    name: "transactional",
    purpose: "runs an `async fn` in a transaction",
    place: None,
};

/// All of `#[transactional]`: what to emit in place of the item, and what is wrong with the annotation.
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
