//! The expansion of a validated annotation.
//!
//! Generated tokens carry the hygiene of the macro, so that no name of the body is shadowed and no lint takes them for
//! the user's, and the place of what they depend on, so that a missing bound is blamed on the user's type.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{FnArg, Pat, Path, Type};

use self::names::{blame, brace_span, ends, led_by, named, parameter_name};
use crate::item::{RawItem, braced, take_marks};
use crate::reborrow::reborrow;
use crate::validate::{Propagation, Retry, Session, Valid, is_mut_reference};

/// Tokens with the hygiene of the macro.
macro_rules! ours {
    ($($tokens:tt)*) => { quote_spanned!(Span::mixed_site()=> $($tokens)*) };
}

mod names;
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

struct Expand<'a> {
    item: &'a RawItem,
    valid: &'a Valid,
    krate: &'a Path,
}

impl Expand<'_> {
    /// Input:  `#[tx] mut tx: &mut PgTx`
    /// Output: `tx: impl Source<PgTx>`, the bound's first and last token in the place of the user's type, so that a
    /// caller is shown that type as what the function requires
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
        *typed.pat = syn::parse_quote!(#name);
        *typed.ty = syn::parse_quote!(impl #krate::#bound<#target #close);
    }

    /// Braces of the user's, so that line counts stay theirs.
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
        ours!(#open loop { #session #copies #run #verdict #end })
    }

    fn open(&self) -> TokenStream {
        let krate = self.krate;
        let options = self.options();
        let from_error = self.outcome("from_error");
        let generics = self.generics();
        let source = self.source();
        ours! {
            let mut scope = match #krate::__private::open #generics(#source, #options).await {
                ::core::result::Result::Ok(scope) => scope,
                ::core::result::Result::Err(error) => return #from_error(error),
            };
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

    /// What the session parameter's type tells inference; nothing does in the binding form.
    fn generics(&self) -> TokenStream {
        match &self.valid.session {
            Session::Parameter { target, .. } => ours!(::<#target, _>),
            Session::Binding { .. } => TokenStream::new(),
        }
    }

    /// A constant of its own block, where no name of the user's can meet it.
    fn options(&self) -> TokenStream {
        let krate = self.krate;
        let name = self.name();
        let settings = self.settings();
        let checks = self.checks();
        ours! {{
            const OPTIONS: #krate::__private::Options = #krate::__private::Options::new(#name) #settings;
            #checks
            &OPTIONS
        }}
    }

    fn name(&self) -> TokenStream {
        match &self.valid.args.name {
            Some(name) => name.to_token_stream(),
            None => {
                let name = format!("::{}", self.item.sig.ident.unraw());
                ours!(::core::concat!(::core::module_path!(), #name))
            }
        }
    }

    fn settings(&self) -> TokenStream {
        let args = &self.valid.args;
        let krate = self.krate;
        let propagation = match args.propagation {
            Propagation::Required => None,
            Propagation::Nested => Some(ours!(.nested())),
            Propagation::RequiresNew => Some(ours!(.requires_new())),
            Propagation::Mandatory(_) => Some(ours!(.mandatory())),
        };
        let isolation = args.isolation.as_ref().map(|isolation| {
            let level = Ident::new(isolation.level, Span::mixed_site());
            ours!(.isolation(#krate::Isolation::#level))
        });
        let read_only = args.read_only.then(|| ours!(.read_only()));
        let deferrable = args.deferrable.as_ref().map(|_| ours!(.deferrable()));
        let timeout = args.timeout.map(|limit| {
            let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            ours!(.timeout_ms(#millis))
        });
        let retry = args.retry.as_ref().map(|retry| self.retry_policy(retry));
        quote!(#propagation #isolation #read_only #deferrable #timeout #retry)
    }

    fn retry_policy(&self, retry: &Retry) -> TokenStream {
        let krate = self.krate;
        let max_attempts = retry.max_attempts.map(|count| ours!(.max_attempts(#count)));
        let delay = |name: &str, delay: Option<Duration>| {
            let millis = u64::try_from(delay?.as_millis()).unwrap_or(u64::MAX);
            let name = Ident::new(name, Span::mixed_site());
            Some(ours!(.#name(::core::time::Duration::from_millis(#millis))))
        };
        let base_delay = delay("base_delay", retry.base_delay);
        let max_delay = delay("max_delay", retry.max_delay);
        ours!(.retry(#krate::Retry::DEFAULT #max_attempts #base_delay #max_delay))
    }

    /// What the session's type cannot do is refused here, where its engine is known; blamed on the argument that asks
    /// for it.
    fn checks(&self) -> Option<TokenStream> {
        let Session::Parameter { target, .. } = &self.valid.session else {
            return None;
        };
        let args = &self.valid.args;
        let weak = args
            .isolation
            .as_ref()
            .filter(|isolation| isolation.level != "Serializable");
        let weak = weak.map(|isolation| self.check("weak_isolation", target, &isolation.key));
        let deferrable = args.deferrable.as_ref();
        let deferrable = deferrable.map(|key| self.check("deferrable", target, key));
        let krate = self.krate;
        Some(ours! {
            #krate::__private::must_be_a_transaction::<#target>();
            #weak
            #deferrable
        })
    }

    /// Output: `deferrable({ use AnyEngine as _; EngineOf::<PgTx>::new().engine() });`
    fn check(&self, what: &str, target: &Type, key: &Ident) -> TokenStream {
        let (span, _) = blame(key);
        let what = Ident::new(what, span);
        let krate = led_by(self.krate, span);
        quote_spanned! {span=>
            #krate::__private::#what({
                use #krate::__private::AnyEngine as _;
                #krate::__private::EngineOf::<#target>::new().engine()
            });
        }
    }

    /// Output: `let tx: &mut PgTx = Scope::<PgTx>::tx(&mut scope);`
    fn session(&self) -> TokenStream {
        let krate = self.krate;
        let (target, binding) = match &self.valid.session {
            Session::Parameter { pat, target, .. } => (
                ours!(::<#target>),
                match &**pat {
                    Pat::Wild(_) => None,
                    pat => Some(ours!(#pat: &mut #target)),
                },
            ),
            Session::Binding { name, .. } => (TokenStream::new(), Some(quote!(#name))),
        };
        let scope = ours!(#krate::__private::Scope #target);
        let deadline = self
            .valid
            .args
            .timeout
            .map(|_| ours!(let deadline = #scope::deadline(&scope);));
        let bind = binding.map(|binding| ours!(let #binding = #scope::tx(&mut scope);));
        ours!(let span = #scope::span(&scope); #deadline #bind)
    }

    /// The body stays in statements of its own: an `#[allow]` on them would hold for the user's code. It stays in braces
    /// of its own, so that its items come first in their block.
    fn run(&self, body: TokenStream, span: Span) -> TokenStream {
        let krate = self.krate;
        let body = match self.session_name() {
            Some(name) => reborrow(body, &name),
            None => body,
        };
        let span = brace_span(&body, span);
        let body = braced(body, span);
        let capture = self.capture();
        let pin = self.pin();
        let outcome = self.outcome_of_body();
        ours! {
            let body = #krate::__private::instrument(span, async #capture { #pin #body });
            #outcome
        }
    }

    /// A limit ends the body, and then the scope.
    fn outcome_of_body(&self) -> TokenStream {
        if self.valid.args.timeout.is_none() {
            return ours!(let outcome = body.await;);
        }
        let krate = self.krate;
        let from_error = self.outcome("from_error");
        let generics = self.generics();
        ours! {
            let outcome = match #krate::__private::within(deadline, body).await {
                ::core::option::Option::Some(outcome) => outcome,
                ::core::option::Option::None => {
                    let error = #krate::__private::expire #generics(scope).await;
                    return #from_error(error);
                }
            };
        }
    }

    /// Arguments move into the body, which thereby asks no more of them (`Sync`) than the function did. Not so where the
    /// scope borrows from one of them, of which the body then takes only what is left.
    fn capture(&self) -> Option<TokenStream> {
        match &self.valid.session {
            Session::Binding { source, .. } if is_mut_reference(source) => None,
            _ => Some(ours!(move)),
        }
    }

    fn session_name(&self) -> Option<Ident> {
        match &self.valid.session {
            Session::Binding { name, .. } => Some(name.clone()),
            Session::Parameter { pat, .. } => named(pat).cloned(),
        }
    }
}
