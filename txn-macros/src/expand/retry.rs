//! Arguments of a function whose body may run more than once.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::{FnArg, Pat, PatIdent, Token};

use super::Expand;
use super::names::{blame, plain};
use crate::validate::{Session, Valid};

/// Input:  `mut count: u32, (a, b): (A, B)`
/// Output: `count: u32, argument1: (A, B)`, from which each attempt makes its own
pub(super) fn name_arguments(inputs: &mut Punctuated<FnArg, Token![,]>, valid: &Valid) {
    for (at, input) in inputs.iter_mut().enumerate() {
        if let (FnArg::Typed(typed), false) = (input, is_session(valid, at)) {
            let name = argument_name(&typed.pat, at);
            *typed.pat = plain(name);
        }
    }
}

impl Expand<'_> {
    /// Output: `let mut count = for_this_attempt(&count); let (a, b) = for_this_attempt(&argument1);`
    pub(super) fn copies(&self) -> TokenStream {
        let inputs = self.item.sig.inputs.iter().enumerate();
        let copies = inputs.filter_map(|(at, input)| match input {
            FnArg::Typed(typed) if !is_session(self.valid, at) => {
                let (name, pat) = (argument_name(&typed.pat, at), &typed.pat);
                let (span, _) = blame(&typed.ty);
                let krate = super::led_by(self.krate, span);
                Some(quote_spanned!(span=> let #pat = #krate::__private::for_this_attempt(&#name);))
            }
            _ => None,
        });
        quote!(#(#copies)*)
    }
}

fn is_session(valid: &Valid, at: usize) -> bool {
    matches!(&valid.session, Session::Parameter { index, .. } if *index == at)
}

fn argument_name(pat: &Pat, at: usize) -> Ident {
    match pat {
        Pat::Ident(PatIdent {
            ident,
            by_ref: None,
            subpat: None,
            ..
        }) => ident.clone(),
        _ => format_ident!("argument{}", at, span = Span::mixed_site()),
    }
}
