//! The names and spans of generated tokens.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::{Pat, PatIdent, Path};

/// The pattern that is a name and nothing else.
pub(super) fn plain(ident: Ident) -> Pat {
    Pat::Ident(PatIdent {
        attrs: Vec::new(),
        by_ref: None,
        mutability: None,
        ident,
        subpat: None,
    })
}

/// The name of a pattern that is a name, with or without `mut`.
pub(super) fn named(pat: &Pat) -> Option<&Ident> {
    match pat {
        Pat::Ident(pat) if pat.subpat.is_none() => Some(&pat.ident),
        _ => None,
    }
}

/// The name of the session parameter. It is the user's own name, since documentation shows it,
/// unless that is `_` or begins with an underscore: generated code uses the parameter, and so needs
/// another name.
pub(super) fn parameter_name(pat: &Pat) -> Ident {
    match named(pat) {
        Some(name) if !name.to_string().starts_with('_') => name.clone(),
        Some(name) => {
            let trimmed = name.to_string();
            let trimmed = trimmed.trim_start_matches('_');
            let span = Span::mixed_site().located_at(name.span());
            syn::parse_str::<Ident>(trimmed).map_or_else(
                |_| Ident::new("tx", span),
                |name| format_ident!("{name}", span = span),
            )
        }
        None => Ident::new("tx", Span::mixed_site()),
    }
}

/// The spans for generated code whose errors should point at `tokens`: first and last. They have
/// the hygiene of the macro, so that lints do not take the code for the user's.
pub(crate) fn blame(tokens: impl ToTokens) -> (Span, Span) {
    let ours = |span| Span::mixed_site().located_at(span);
    let (first, last) = ends(tokens);
    (ours(first), ours(last))
}

/// The first and the last span of the user's tokens.
pub(super) fn ends(tokens: impl ToTokens) -> (Span, Span) {
    let mut tokens = tokens.into_token_stream().into_iter();
    let first = tokens.next();
    let last = tokens.last().or_else(|| first.clone());
    let span = |token: Option<TokenTree>| token.map_or_else(Span::mixed_site, |token| token.span());
    (span(first), span(last))
}

/// The path with its first token at `span`. If an expression begins elsewhere, rustc points at the
/// whole attribute.
pub(crate) fn led_by(path: &Path, span: Span) -> TokenStream {
    let mut tokens: Vec<TokenTree> = path.to_token_stream().into_iter().collect();
    for token in tokens
        .iter_mut()
        .take_while(|token| matches!(token, TokenTree::Punct(_)))
    {
        token.set_span(span);
    }
    if let Some(first @ TokenTree::Ident(_)) = tokens.first_mut() {
        first.set_span(first.span().located_at(span));
    }
    tokens.into_iter().collect()
}
