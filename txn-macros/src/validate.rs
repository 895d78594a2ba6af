//! Every rule about the annotated function and its session. Only a [`Valid`] can be expanded, and
//! only [`validate`] returns one.

mod arguments;
mod durations;
mod function;
mod parameter;
mod values;

use proc_macro2::Ident;
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::{Expr, FnArg, Pat, Type};

pub(crate) use self::arguments::{Args, Check, Propagation, Retry, Rule};
pub(crate) use self::function::opaque;
pub(crate) use self::parameter::plain;
use self::parameter::{Candidate, candidates};
use crate::args::{RawArgs, RawSource, RawValue, is_known};
use crate::error::Errors;
use crate::item::RawItem;
use crate::text::text;

/// An annotation that keeps every rule, together with its function.
pub(crate) struct Valid {
    pub(crate) args: Args,
    pub(crate) session: Session,
    /// The type that the body returns: with a boxed future, its output.
    pub(crate) output: Type,
}

/// The form in which the function gets its session.
pub(crate) enum Session {
    /// `tx: &mut P`
    Parameter {
        index: usize,
        pat: Box<Pat>,
        target: Box<Type>,
    },
    /// `SOURCE as tx`
    Binding { source: Expr, name: Ident },
}

/// Checks every rule. A wrong argument is reported and left out, so that the function still expands
/// and a mistyped argument does not also cause an error in every call of the function. Returns
/// `None` if the function or its session is wrong.
pub(crate) fn validate(raw: RawArgs, item: &RawItem, errors: &mut Errors) -> Option<Valid> {
    let function = item.sig.ident.unraw().to_string();
    let RawArgs { source, list } = with_bare_source(raw, item);
    let args = arguments::validate(list, &function, errors);
    let output = function::output(item, &function, errors);
    let session = match source {
        Some(source) => binding(source, item, &function, errors),
        None => parameter::parameter(item, &function, errors),
    };
    let (mut args, session, output) = (args?, session?, output?);
    refuse_mandatory_begin(&args, &session, &function, errors);
    refuse_retry_of_unique(&mut args, &session, item, &function, errors);
    Some(Valid {
        args,
        session,
        output,
    })
}

/// Turns a first argument that names a parameter, as in `#[transactional(db)]`, into a source
/// without a name for its session, so that the error can say what is missing. What may stand there
/// by itself, such as `retry`, is no source, whatever the parameters are called.
fn with_bare_source(mut raw: RawArgs, item: &RawItem) -> RawArgs {
    let all = candidates(item);
    let bare = raw.list.first().filter(|arg| {
        let is_name = all.iter().any(|one| arg.key == one.name());
        matches!(arg.value, RawValue::Bare) && is_name && !is_known(&arg.key)
    });
    if let (None, Some(arg)) = (&raw.source, bare) {
        let key = &arg.key;
        raw.source = Some(RawSource {
            expr: syn::parse_quote!(#key),
            binding: None,
        });
        raw.list.remove(0);
    }
    raw
}

/// Refuses `mandatory` in a binding form that begins a transaction.
fn refuse_mandatory_begin(args: &Args, session: &Session, function: &str, errors: &mut Errors) {
    let (Propagation::Mandatory(key), Session::Binding { source, name }) =
        (&args.propagation, session)
    else {
        return;
    };
    if !is_mut_reference(source) {
        errors.at(
            key,
            format!(
                "`mandatory` only joins, but `{}` begins the transaction of `{function}`: name a \
                 session, as in `&mut self.tx as {name}`, or remove `mandatory`",
                text(source),
            ),
        );
    }
}

/// Refuses `retry` if a second attempt would lack an argument, because the first one has taken it.
/// `retry` is then left out.
fn refuse_retry_of_unique(
    args: &mut Args,
    session: &Session,
    item: &RawItem,
    function: &str,
    errors: &mut Errors,
) {
    let Some(retry) = &args.retry else { return };
    let mut faults = Vec::new();
    for (at, input) in item.sig.inputs.iter().enumerate() {
        let is_session = matches!(session, Session::Parameter { index, .. } if *index == at);
        if let (false, Some(advice)) = (is_session, taken_away(input)) {
            let input = text(input);
            faults.push(format!(
                "`retry` runs the body of `{function}` again, but the first attempt takes \
                 `{input}` away: {advice}, or remove `retry`"
            ));
        }
    }
    if let Session::Binding { source, .. } = session
        && is_mut_reference(source)
    {
        let source = text(source);
        faults.push(format!(
            "`retry` runs a root scope again, but `{source}` is a session that is in one: name a \
             `Db`, or remove `retry`"
        ));
    }
    if faults.is_empty() {
        return;
    }
    for fault in faults {
        errors.at(&retry.key, fault);
    }
    args.retry = None;
}

/// Returns what to write instead of a parameter that only one attempt can have.
fn taken_away(input: &FnArg) -> Option<&'static str> {
    let ty = match input {
        FnArg::Receiver(receiver)
            if receiver.mutability.is_none() && receiver.reference.is_some() =>
        {
            return None;
        }
        FnArg::Receiver(_) => return Some("write `&self`"),
        FnArg::Typed(typed) => &typed.ty,
    };
    match &**ty {
        Type::Reference(reference) if reference.mutability.is_some() => {
            Some("pass it by value or by `&`")
        }
        _ => None,
    }
}

/// Returns whether the source of a binding form is a session (`&mut self.tx`) and not a `Db`.
pub(crate) fn is_mut_reference(source: &Expr) -> bool {
    matches!(source, Expr::Reference(reference) if reference.mutability.is_some())
}

/// Checks the binding form: it has a name, and the function has no session parameter.
fn binding(
    source: RawSource,
    item: &RawItem,
    function: &str,
    errors: &mut Errors,
) -> Option<Session> {
    let RawSource { expr, binding } = source;
    let shown = text(&expr);
    let Some(binding) = binding else {
        errors.at(
            &expr,
            format!(
                "the session from `{shown}` has no name in the body of `{function}`: write \
                 `{shown} as tx`"
            ),
        );
        return None;
    };
    let Ok(name) = syn::parse2::<Ident>(binding.to_token_stream()) else {
        errors.at(
            &binding,
            format!(
                "`as` gives the session of `{function}` a name, but `{}` is not one: write \
                 `{shown} as tx`",
                text(&binding)
            ),
        );
        return None;
    };
    if item.boxed.is_some() && is_mut_reference(&expr) {
        errors.at(
            &expr,
            format!(
                "the boxed future of `{function}` (`#[async_trait]` makes one) takes all of \
                 `self`, so `{shown}` cannot be lent beside it: hold a `Db` and write \
                 `self.db as {name}`"
            ),
        );
        return None;
    }
    if let Some(candidate) = candidates(item).into_iter().find(Candidate::is_session) {
        errors.at(
            candidate.typed,
            format!(
                "`{function}` has two sessions, `{}` and the parameter `{}`: remove the \
                 parameter, or write `#[transactional]`",
                text(quote!(#expr as #name)),
                candidate.name(),
            ),
        );
        return None;
    }
    Some(Session::Binding { source: expr, name })
}
