//! Generates the options of the annotation as a constant, and the checks that the compiler makes of
//! them.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Type;
use syn::ext::IdentExt as _;

use super::Expand;
use super::names::{blame, led_by};
use crate::validate::{Propagation, Retry, Session};

impl Expand<'_> {
    /// The options as an inline constant. A named constant would take longer to compile.
    pub(super) fn options(&self) -> TokenStream {
        let krate = self.krate;
        let name = self.name();
        let place = self.place();
        let settings = self.settings();
        let checks = self.checks();
        ours! {{
            #checks
            &const { #krate::__private::Options::new(#name) #place #settings }
        }}
    }

    /// The name of the scope: the argument `name`, or the path of the function.
    fn name(&self) -> TokenStream {
        match &self.valid.args.name {
            Some(name) => name.to_token_stream(),
            None => {
                let name = format!("::{}", self.item.sig.ident.unraw());
                ours!(::core::concat!(::core::module_path!(), #name))
            }
        }
    }

    /// The file and line of the function's name. `file!` and `line!` return the location of the
    /// outermost macro that their tokens come from. With the macro's own tokens that would be the
    /// attribute, so they get the span of the name.
    fn place(&self) -> TokenStream {
        let span = self.item.sig.ident.span();
        let here = quote_spanned!(span=> ::core::file!(), ::core::line!());
        ours!(.at(#here))
    }

    /// The calls that set everything else, for the arguments that were written.
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

    /// The call that sets the argument `retry`.
    fn retry_policy(&self, retry: &Retry) -> TokenStream {
        if retry.is_bare() {
            return ours!(.retry_by_default());
        }
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

    /// Checks that the engine of the session's type, if the type names one, can do what the
    /// arguments ask for. An error points at the argument.
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
}
