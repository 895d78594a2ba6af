//! The attribute macro of `txn-rs`; use it through the facade, as `txn::transactional`.

mod args;
mod error;
mod expand;
mod item;
mod reborrow;
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
    let (tokens, errors) = annotate(attr.into(), item.into());
    let errors = errors.into_compile_errors();
    quote::quote!(#errors #tokens).into()
}

/// The whole macro: what to emit in place of the item, and what is wrong with the annotation.
fn annotate(
    attr: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> (proc_macro2::TokenStream, error::Errors) {
    let mut errors = error::Errors::default();
    let args = args::parse(attr, &mut errors);
    let original = item.clone();
    let tokens = match item::parse(item) {
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
