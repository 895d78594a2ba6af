//! Names and places of generated tokens.

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

pub(super) fn named(pat: &Pat) -> Option<&Ident> {
    match pat {
        Pat::Ident(pat) if pat.subpat.is_none() => Some(&pat.ident),
        _ => None,
    }
}

/// The user's own name, as documentation shows it; a name of the macro's where it would be `_` or `_tx`, which must not
/// be used.
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

/// Where generated code is blamed on `tokens`, without being taken for the user's by lints.
pub(crate) fn blame(tokens: impl ToTokens) -> (Span, Span) {
    let ours = |span| Span::mixed_site().located_at(span);
    let (first, last) = ends(tokens);
    (ours(first), ours(last))
}

/// First and last span of the user's tokens.
pub(super) fn ends(tokens: impl ToTokens) -> (Span, Span) {
    let mut tokens = tokens.into_token_stream().into_iter();
    let first = tokens.next();
    let last = tokens.last().or_else(|| first.clone());
    let span = |token: Option<TokenTree>| token.map_or_else(Span::mixed_site, |token| token.span());
    (span(first), span(last))
}

/// The path with its first token at `span`: rustc blames the whole attribute for what begins elsewhere.
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
