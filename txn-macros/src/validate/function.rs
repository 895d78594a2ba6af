//! Every rule about the annotated function, apart from its session.

use quote::ToTokens;
use syn::visit::Visit;
use syn::{GenericArgument, PathArguments, ReturnType, Type, TypeImplTrait};

use crate::error::Errors;
use crate::item::RawItem;
use crate::text::text;

/// Checks the function, and returns the type that its body returns.
pub(super) fn output(item: &RawItem, function: &str, errors: &mut Errors) -> Option<Type> {
    let sig = &item.sig;
    let refusal = if item.body.is_none() {
        Some((
            sig.ident.to_token_stream(),
            format!(
                "`{function}` has no body to run in a transaction: move `#[transactional]` to its \
                 implementation"
            ),
        ))
    } else if let Some(constness) = sig.constness {
        Some((
            constness.to_token_stream(),
            format!(
                "`{function}` is a `const fn`, which cannot await a transaction: write `async fn \
                 {function}`"
            ),
        ))
    } else if sig.asyncness.is_none() && item.boxed.is_none() {
        Some((
            sig.fn_token.to_token_stream(),
            format!(
                "`{function}` is not async, but its transaction has to be awaited: write `async \
                 fn {function}`"
            ),
        ))
    } else {
        None
    };
    if let Some((tokens, message)) = &refusal {
        errors.at(tokens, message);
    }
    let foreign = refuse_foreign(item, function, errors);
    if refusal.is_some() {
        return None;
    }
    let output = nameable_output(item, function, errors)?;
    (!foreign).then_some(output)
}

/// Refuses a function that callers in another language could call. Returns whether it did.
fn refuse_foreign(item: &RawItem, function: &str, errors: &mut Errors) -> bool {
    if let Some(abi) = &item.sig.abi {
        errors.at(
            abi,
            format!(
                "`{function}` is `{}`, but foreign callers cannot await a transaction: write \
                 `async fn {function}`",
                text(abi),
            ),
        );
    }
    if let Some(variadic) = &item.sig.variadic {
        errors.at(
            variadic,
            format!(
                "`{function}` takes variadic arguments, which no async function can: remove `...`"
            ),
        );
    }
    item.sig.abi.is_some() || item.sig.variadic.is_some()
}

/// Returns the type that the body returns, unless it has no name.
fn nameable_output(item: &RawItem, function: &str, errors: &mut Errors) -> Option<Type> {
    let output = match (&item.boxed, &item.sig.output) {
        (Some(boxed), _) => boxed.output.clone(),
        (None, ReturnType::Type(_, ty)) => (**ty).clone(),
        (None, ReturnType::Default) => {
            let span = item.sig.ident.span();
            syn::parse_quote_spanned!(span=> ())
        }
    };
    let output = without_opaque_value(output);
    if let Some(ty) = opaque(&output) {
        errors.at(
            ty,
            format!(
                "`{function}` returns `{}`, but a type without a name cannot say whether to \
                 commit: write a `Result` whose error type has a name, as in `Result<impl Trait, \
                 Error>`",
                text(ty),
            ),
        );
        return None;
    }
    if let Type::Never(_) = output {
        errors.at(
            &output,
            format!(
                "`{function}` never returns, so it can never commit: write `-> Result<(), Error>`"
            ),
        );
        return None;
    }
    Some(output)
}

/// Input:  `Result<impl Iterator<Item = Row>, Error>`
/// Output: `Result<_, Error>`
///
/// Only the error type matters: the other one is inferred from the body.
fn without_opaque_value(mut output: Type) -> Type {
    if let Type::Path(path) = &mut output
        && let Some(last) = path.path.segments.last_mut()
        && last.ident == "Result"
        && let PathArguments::AngleBracketed(arguments) = &mut last.arguments
        && let Some(GenericArgument::Type(value)) = arguments.args.first_mut()
        && opaque(value).is_some()
    {
        *value = syn::parse_quote!(_);
    }
    output
}

/// Returns the first `impl Trait` inside of a type.
pub(crate) fn opaque(ty: &Type) -> Option<&TypeImplTrait> {
    let mut find = FindOpaque(None);
    find.visit_type(ty);
    find.0
}

struct FindOpaque<'ast>(Option<&'ast TypeImplTrait>);

impl<'ast> Visit<'ast> for FindOpaque<'ast> {
    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.0.get_or_insert(ty);
    }
}
