//! Generates what comes after the body: the conclusion from its outcome, and the end of the scope.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use super::Expand;
use super::names::{blame, led_by};
use crate::validate::Rule;

impl Expand<'_> {
    /// Tells inference the type that `return` and `?` in the body have, before it gets to them.
    pub(super) fn pin(&self) -> TokenStream {
        let output = &self.valid.output;
        ours! {
            if let ::core::option::Option::Some(pinned) = ::core::option::Option::None::<#output> {
                return pinned;
            }
        }
    }

    /// Output: `let conclusion = …;`
    ///
    /// The conclusion is made before the end of the scope is awaited and owns its text, so that the
    /// outcome is not borrowed across the await, and need not be `Sync`.
    pub(super) fn verdict(&self) -> TokenStream {
        let krate = self.krate;
        let verdict = self.judged();
        let commit = self.rule(&self.valid.args.commit_on, "Err", "Commit");
        let rollback = self.rule(&self.valid.args.rollback_on, "Ok", "Rollback");
        let verdict = if commit.is_none() && rollback.is_none() {
            verdict
        } else {
            ours!(match &outcome {
                #commit
                #rollback
                _ => #verdict,
            })
        };
        let said = self.said();
        ours! {
            let conclusion = {
                use #krate::__private::{ReasonDisplay as _, ReasonOpaque as _};
                (&&#krate::__private::Reason(&outcome)).conclude(#verdict)
            };
            #said
        }
    }

    /// Adds, if there is a `retry`, whether the outcome's own error is one after which to run the
    /// body again.
    fn said(&self) -> Option<TokenStream> {
        self.valid.args.retry.as_ref()?;
        let krate = self.krate;
        Some(ours! {
            let conclusion = conclusion.said({
                use #krate::__private::{
                    SaidByOurs as _, SaidByError as _, SaidByAny as _, SaidByNobody as _
                };
                (&&&&#krate::__private::Said(&outcome)).is_conflict()
            });
        })
    }

    /// Input:  `commit_on(PATTERN if GUARD)`
    /// Output: `Err(PATTERN) if GUARD => Verdict::Commit,`
    fn rule(&self, rule: &Option<Rule>, variant: &str, verdict: &str) -> Option<TokenStream> {
        let Rule { pat, guard } = rule.as_ref()?;
        let krate = self.krate;
        let (span, _) = blame(pat);
        let variant = Ident::new(variant, span);
        let verdict = Ident::new(verdict, Span::mixed_site());
        let guard = guard.as_ref().map(|guard| quote!(if #guard));
        let pattern = quote_spanned!(span=> ::core::result::Result::#variant(#pat));
        Some(ours!(#pattern #guard => #krate::Verdict::#verdict,))
    }

    /// Ends the scope and returns. With `retry`, goes on with the next scope if there is one.
    pub(super) fn end(&self) -> TokenStream {
        let krate = self.krate;
        let after = self.after();
        let generics = self.generics();
        if self.valid.args.retry.is_none() {
            return ours! {
                let ended = #krate::__private::end #generics(scope, conclusion).await;
                #after
            };
        }
        let next = ours!(#krate::__private::Next);
        ours! {
            match #krate::__private::end_or_retry #generics(scope, conclusion).await {
                #next::Again(again) => scope = again,
                #next::Done(ended) => return #after,
            }
        }
    }

    /// Output: an expression that says whether `outcome` commits.
    fn judged(&self) -> TokenStream {
        match (&self.valid.args.outcome, &self.valid.args.error) {
            (Some(path), _) => {
                let (span, _) = blame(path);
                let krate = led_by(self.krate, span);
                quote_spanned!(span=> #krate::__private::judged(#path(&outcome)))
            }
            (None, Some(_)) => {
                let (span, _) = blame(&self.valid.output);
                let krate = led_by(self.krate, span);
                quote_spanned!(span=> #krate::__private::verdict(&outcome))
            }
            (None, None) => {
                let verdict = self.outcome("verdict");
                ours!(#verdict(&outcome))
            }
        }
    }

    /// Output: what the caller gets if the scope itself has failed with `error`.
    pub(super) fn failed(&self) -> TokenStream {
        let Some(path) = &self.valid.args.error else {
            let from_error = self.outcome("from_error");
            return ours!(#from_error(error));
        };
        let output = &self.valid.output;
        let (span, _) = blame(path);
        let krate = led_by(self.krate, span);
        quote_spanned!(span=> #krate::__private::failed::<#output, _>(#path(error)))
    }

    /// Output: what the caller gets when the scope has ended as `ended` says.
    fn after(&self) -> TokenStream {
        if self.valid.args.error.is_none() {
            let after = self.outcome("__after");
            return ours!(#after(outcome, ended));
        }
        let failed = self.failed();
        ours! {
            match ended {
                ::core::result::Result::Ok(()) => outcome,
                ::core::result::Result::Err(error) => #failed,
            }
        }
    }

    /// Output: `<Ret as Outcome>::method`
    ///
    /// Errors point at the whole return type.
    pub(super) fn outcome(&self, method: &str) -> TokenStream {
        let krate = self.krate;
        let output = &self.valid.output;
        let (first, last) = blame(output);
        let method = Ident::new(method, last);
        let open = quote_spanned!(first=> <#output as);
        let close = quote_spanned!(last=> Outcome>::#method);
        quote!(#open #krate::#close)
    }
}
