//! The expansion of a validated annotation.
//!
//! Generated tokens have the hygiene of the macro: they shadow no name of the body, and lints do
//! not take them for the user's. Some also have the location of the user's tokens that they depend
//! on, so that the compiler points at the user's type if that lacks a bound.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{FnArg, Pat, Path, Type};

use self::names::{blame, ends, led_by, named, parameter_name};
use crate::item::{RawItem, braced, take_marks};
use crate::reborrow::reborrow;
use crate::validate::{Propagation, Session, Valid, is_mut_reference};

/// Like `quote!`, for tokens with the hygiene of the macro.
macro_rules! ours {
    ($($tokens:tt)*) => { quote_spanned!(Span::mixed_site()=> $($tokens)*) };
}

pub(crate) mod names;
mod options;
mod outcome;
mod retry;

/// Input:  `async fn debit(tx: &mut PgTx, id: i64) -> Ret { BODY }`
/// Output: `async fn debit(tx: impl Source<PgTx>, id: i64) -> Ret { open; run BODY; judge; end }`
pub(crate) fn expand(item: &RawItem, valid: &Valid) -> TokenStream {
    let RawItem {
        attrs, vis, sig, ..
    } = item;
    let expand = Expand {
        item,
        valid,
        krate: &valid.args.krate,
    };
    let mut sig = sig.clone();
    if valid.args.retry.is_some() {
        retry::name_arguments(&mut sig.inputs, valid);
    }
    if let Session::Parameter { index, target, pat } = &valid.session {
        expand.parameter(&mut sig.inputs[*index], target, pat);
    }
    let body = expand.body();
    quote!(#(#attrs)* #vis #sig #body)
}

/// The input of an expansion. Each method makes one part of the output.
struct Expand<'a> {
    item: &'a RawItem,
    valid: &'a Valid,
    /// The path of the crate `txn`, from the argument `crate`.
    krate: &'a Path,
}

impl Expand<'_> {
    /// Input:  `#[tx] mut tx: &mut PgTx`
    /// Output: `tx: impl Source<PgTx>`
    ///
    /// The bound's first and last token have the location of the user's type, so that an error in a
    /// call shows that type as what the function requires.
    fn parameter(&self, input: &mut FnArg, target: &Type, pat: &Pat) {
        take_marks(input);
        let FnArg::Typed(typed) = input else { return };
        let (open, close) = ends(&typed.ty);
        let krate = led_by(self.krate, open);
        let bound = match self.valid.args.propagation {
            Propagation::Mandatory(_) => ours!(Joinable),
            _ => ours!(Source),
        };
        let close = quote_spanned!(close=> >);
        let name = parameter_name(pat);
        *typed.pat = names::plain(name);
        // Nothing reads the type again, and parsing it would take a tenth of the macro's time.
        *typed.ty = Type::Verbatim(ours!(impl #krate::#bound<#target #close));
    }

    /// The body of the function, in the user's own braces, so that the function's lines are counted
    /// as the user wrote them.
    fn body(&self) -> TokenStream {
        let Some(body) = &self.item.body else {
            return TokenStream::new();
        };
        let Some(boxed) = &self.item.boxed else {
            return braced(self.scope(body.stream(), body.span()), body.span()).to_token_stream();
        };
        let (before, function, block) = (&boxed.before, &boxed.call.func, &boxed.block);
        let (attrs, capture) = (&block.attrs, &block.capture);
        let stmts = &block.block.stmts;
        let scope = self.scope(quote!(#(#stmts)*), block.block.brace_token.span.join());
        let inner = quote!(#(#before)* #function(#(#attrs)* async #capture { #scope }));
        braced(inner, body.span()).to_token_stream()
    }

    /// Output: open the scope, run BODY, make the conclusion, end the scope; in a loop with `retry`
    fn scope(&self, body: TokenStream, span: Span) -> TokenStream {
        let open = self.open();
        let session = self.session();
        let run = self.run(body, span);
        let verdict = self.verdict();
        let end = self.end();
        if self.valid.args.retry.is_none() {
            return quote!(#open #session #run #verdict #end);
        }
        let copies = self.copies();
        // The session may have the name of an argument, and is what the body means by it.
        ours!(#open loop { #copies #session #run #verdict #end })
    }

    /// Output: `let mut scope = match open(SOURCE, OPTIONS).await { … };`
    fn open(&self) -> TokenStream {
        let krate = self.krate;
        let options = self.options();
        let failed = self.failed();
        let generics = self.generics();
        let source = self.source();
        let opened = ours! {
            match #krate::__private::open #generics(#source, #options).await {
                ::core::result::Result::Ok(scope) => scope,
                ::core::result::Result::Err(error) => return #failed,
            }
        };
        let bound = match &self.valid.args.retry {
            Some(_) => self.bound_for_source(),
            None => TokenStream::new(),
        };
        match bound.is_empty() {
            true => ours!(let mut scope = #opened;),
            false => ours!(let mut scope = { #bound #opened };),
        }
    }

    /// Input:  `tx: &mut PgTx`, `self.db as tx`, `&mut self.tx as tx`
    /// Output: `tx`, `provide(&self.db)`, `&mut self.tx`
    fn source(&self) -> TokenStream {
        let krate = self.krate;
        match &self.valid.session {
            Session::Parameter { pat, .. } => parameter_name(pat).to_token_stream(),
            Session::Binding { source, .. } if is_mut_reference(source) => source.to_token_stream(),
            Session::Binding { source, .. } => {
                let (span, _) = blame(source);
                let krate = led_by(krate, span);
                quote_spanned!(span=> #krate::__private::provide(&#source))
            }
        }
    }

    /// The generic arguments of the functions that take a scope. They tell inference the type of
    /// the session parameter; in the binding form there are none.
    fn generics(&self) -> TokenStream {
        match &self.valid.session {
            Session::Parameter { target, .. } => ours!(::<#target, _>),
            Session::Binding { .. } => TokenStream::new(),
        }
    }

    /// Output: `let (tx, span) = enter::<PgTx, _>(&mut scope);`
    fn session(&self) -> TokenStream {
        let krate = self.krate;
        let binding = match &self.valid.session {
            Session::Parameter { pat, .. } => pat.to_token_stream(),
            Session::Binding { name, .. } => name.to_token_stream(),
        };
        let generics = self.generics();
        let deadline = self.valid.args.timeout;
        let deadline =
            deadline.map(|_| ours!(let deadline = #krate::__private::deadline #generics(&scope);));
        ours!(#deadline let (#binding, span) = #krate::__private::enter #generics(&mut scope);)
    }

    /// Output: `let outcome = { let body = pin!(Some(async move { BODY })); run(span, body).await
    /// };`
    ///
    /// No generated `#[allow]` is on these statements, because it would hold for the user's code.
    /// The body has braces of its own, so that its items come first in their block.
    fn run(&self, body: TokenStream, span: Span) -> TokenStream {
        let krate = self.krate;
        let body = reborrow(body, self.session_name().as_ref());
        // The lint `unused_braces` would report the user's own braces around a lone expression.
        let span = match body.is_lone_expression {
            true => Span::mixed_site().located_at(span),
            false => span,
        };
        let body = braced(body.tokens, span);
        let capture = self.capture();
        let pin = self.pin();
        let outcome = self.outcome_of_body();
        let run = ours!(#krate::__private::run(span, body));
        let run = match self.valid.args.timeout {
            Some(_) => ours!(#krate::__private::within(deadline, #run)),
            None => run,
        };
        ours! {
            let outcome = {
                let body = ::core::pin::pin!(
                    ::core::option::Option::Some(async #capture { #pin #body })
                );
                #run.await
            };
            #outcome
        }
    }

    /// Takes the outcome of a body with a time limit. If the body was not in time, ends the scope
    /// and returns.
    fn outcome_of_body(&self) -> Option<TokenStream> {
        self.valid.args.timeout?;
        let krate = self.krate;
        let failed = self.failed();
        let generics = self.generics();
        Some(ours! {
            let outcome = match outcome {
                ::core::option::Option::Some(outcome) => outcome,
                ::core::option::Option::None => {
                    let error = #krate::__private::expire #generics(scope).await;
                    return #failed;
                }
            };
        })
    }

    /// `move`, unless the scope borrows from one of the arguments: then the body can only take the
    /// rest of it. A body that moves its arguments requires no more of them than the function did;
    /// a body that borrows them would require `Sync`.
    fn capture(&self) -> Option<TokenStream> {
        match &self.valid.session {
            Session::Binding { source, .. } if is_mut_reference(source) => None,
            _ => Some(ours!(move)),
        }
    }

    /// The name that the session has in the body, if it has one.
    fn session_name(&self) -> Option<Ident> {
        match &self.valid.session {
            Session::Binding { name, .. } => Some(name.clone()),
            Session::Parameter { pat, .. } => named(pat).cloned(),
        }
    }
}
