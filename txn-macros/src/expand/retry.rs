//! Generates the copies of the arguments if the body may run more than once.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, Pat, PatIdent, PatType, Token};

use super::Expand;
use super::names::{blame, plain};
use crate::validate::{Session, Valid};

/// Input:  `mut count: u32, (a, b): (A, B)`
/// Output: `count: u32, argument1: (A, B)`, of which each attempt makes copies
pub(super) fn name_arguments(inputs: &mut Punctuated<FnArg, Token![,]>, valid: &Valid) {
    for (at, input) in inputs.iter_mut().enumerate() {
        if let (FnArg::Typed(typed), false) = (input, is_session(valid, at)) {
            let name = argument_name(&typed.pat, at);
            *typed.pat = plain(name);
        }
    }
}

impl Expand<'_> {
    /// Output: `let mut count = for_this_attempt(&count); let (a, b) =
    /// for_this_attempt(&argument1);`
    ///
    /// Names that only the source uses get a `let _ = &name;`, since the body may not use them.
    pub(super) fn copies(&self) -> TokenStream {
        let copies = self.arguments().map(|(name, typed)| {
            let pat = &typed.pat;
            let (span, _) = blame(&typed.ty);
            let krate = super::led_by(self.krate, span);
            let cfgs = cfgs(typed);
            let copy =
                quote_spanned!(span=> let #pat = #krate::__private::for_this_attempt(&#name););
            let used = self.used_by_source(pat).map(|used| quote!(#cfgs #used));
            quote!(#cfgs #copy #used)
        });
        quote!(#(#copies)*)
    }

    /// Input:  `app.db as tx`, `State(mut app): State<App>`
    /// Output: `let State(app) = &argument0;`
    ///
    /// The source is evaluated before the first attempt has its copies, so it needs the names
    /// before.
    pub(super) fn bound_for_source(&self) -> TokenStream {
        let bound = self.arguments().filter_map(|(name, typed)| {
            let used = self.used_by_source(&typed.pat)?;
            if is_plain(&typed.pat) {
                return None;
            }
            let mut pat = (*typed.pat).clone();
            ByReference.visit_pat_mut(&mut pat);
            let cfgs = cfgs(typed);
            Some(ours!(#cfgs let #pat = &#name; #cfgs #used))
        });
        quote!(#(#bound)*)
    }

    /// The arguments other than the session, each with its name in the expansion.
    fn arguments(&self) -> impl Iterator<Item = (Ident, &PatType)> {
        let inputs = self.item.sig.inputs.iter().enumerate();
        inputs.filter_map(|(at, input)| match input {
            FnArg::Typed(typed) if !is_session(self.valid, at) => {
                Some((argument_name(&typed.pat, at), typed))
            }
            _ => None,
        })
    }

    /// A statement that uses all names that the pattern binds, if the source uses any of them.
    fn used_by_source(&self, pat: &Pat) -> Option<TokenStream> {
        let Session::Binding { source, .. } = &self.valid.session else {
            return None;
        };
        let mut bound = Bound(Vec::new());
        bound.visit_pat(pat);
        let names = &bound.0;
        mentions(source.to_token_stream(), names).then(|| ours!(let _ = (#(&#names,)*);))
    }
}

/// The `#[cfg]` of an argument, which hold for its copy too.
fn cfgs(typed: &PatType) -> TokenStream {
    let cfgs = typed
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"));
    quote!(#(#cfgs)*)
}

/// Collects the names that a pattern binds. A constant in a pattern looks the same and is collected
/// too, which does no harm.
struct Bound(Vec<Ident>);

impl Visit<'_> for Bound {
    fn visit_pat_ident(&mut self, pat: &PatIdent) {
        self.0.push(pat.ident.clone());
        visit::visit_pat_ident(self, pat);
    }
}

/// Turns a pattern for a value into one for a reference to it: without `ref`, `mut` and `&`.
struct ByReference;

impl VisitMut for ByReference {
    fn visit_pat_ident_mut(&mut self, pat: &mut PatIdent) {
        (pat.by_ref, pat.mutability) = (None, None);
        visit_mut::visit_pat_ident_mut(self, pat);
    }

    fn visit_pat_mut(&mut self, pat: &mut Pat) {
        if let Pat::Reference(reference) = pat {
            *pat = (*reference.pat).clone();
        }
        visit_mut::visit_pat_mut(self, pat);
    }
}

/// Returns whether any of the names occurs in the tokens.
fn mentions(tokens: TokenStream, names: &[Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.contains(&ident),
        TokenTree::Group(group) => mentions(group.stream(), names),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Returns whether the parameter at this position is the session.
fn is_session(valid: &Valid, at: usize) -> bool {
    matches!(&valid.session, Session::Parameter { index, .. } if *index == at)
}

/// Returns whether the pattern is a name, with or without `mut`.
fn is_plain(pat: &Pat) -> bool {
    matches!(
        pat,
        Pat::Ident(PatIdent {
            by_ref: None,
            subpat: None,
            ..
        })
    )
}

/// The name of an argument in the expansion: its own, or a generated one for any other pattern.
fn argument_name(pat: &Pat, at: usize) -> Ident {
    match pat {
        Pat::Ident(PatIdent { ident, .. }) if is_plain(pat) => ident.clone(),
        _ => format_ident!("argument{}", at, span = Span::mixed_site()),
    }
}
