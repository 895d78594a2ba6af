//! Every rule about the annotated function and its session. Only what comes out of here can expand.

mod arguments;

use proc_macro2::{Ident, Span};
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::visit::Visit;
use syn::{Expr, FnArg, Pat, PatType, ReturnType, Type, TypeImplTrait, TypeReference};

pub(crate) use self::arguments::{Args, Propagation, Rule};
use crate::args::{RawArgs, RawSource, RawValue};
use crate::error::Errors;
use crate::item::{RawItem, take_marks};
use crate::text::text;

pub(crate) struct Valid {
    pub(crate) args: Args,
    pub(crate) session: Session,
    pub(crate) output: Type,
}

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

/// Arguments that are at fault are reported and left out; a function or a session that is at fault ends it. So a mistyped
/// argument does not also make an error of every call of the function.
pub(crate) fn validate(raw: RawArgs, item: &RawItem, errors: &mut Errors) -> Option<Valid> {
    let function = item.sig.ident.unraw().to_string();
    let RawArgs { source, list } = with_bare_source(raw, item);
    let args = arguments::validate(list, &function, errors);
    let output = output(item, &function, errors);
    let session = match source {
        Some(source) => binding(source, item, &function, errors),
        None => parameter(item, &function, errors),
    };
    let (args, session, output) = (args?, session?, output?);
    refuse_mandatory_begin(&args, &session, &function, errors);
    Some(Valid {
        args,
        session,
        output,
    })
}

/// `#[transactional(db)]`: a word that is no argument, but names a parameter, is a source without a name for its session.
fn with_bare_source(mut raw: RawArgs, item: &RawItem) -> RawArgs {
    let all = candidates(item);
    let bare = raw.list.first().filter(|arg| {
        matches!(arg.value, RawValue::Bare) && all.iter().any(|one| arg.key == one.name())
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

/// The return type of a function that can be run in a transaction.
fn output(item: &RawItem, function: &str, errors: &mut Errors) -> Option<Type> {
    let sig = &item.sig;
    let refusal = if item.body.is_none() {
        Some((
            sig.ident.to_token_stream(),
            format!(
                "`{function}` has no body to run in a transaction: move `#[transactional]` to its implementation"
            ),
        ))
    } else if let Some(constness) = sig.constness {
        Some((
            constness.to_token_stream(),
            format!(
                "`{function}` is a `const fn`, which cannot await a transaction: write `async fn {function}`"
            ),
        ))
    } else if sig.asyncness.is_none() && item.boxed.is_none() {
        Some((
            sig.fn_token.to_token_stream(),
            format!(
                "`{function}` is not async, but its transaction has to be awaited: write `async fn {function}`"
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

fn refuse_foreign(item: &RawItem, function: &str, errors: &mut Errors) -> bool {
    if let Some(abi) = &item.sig.abi {
        errors.at(
            abi,
            format!(
                "`{function}` is `{}`, but foreign callers cannot await a transaction: write `async fn {function}`",
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

fn nameable_output(item: &RawItem, function: &str, errors: &mut Errors) -> Option<Type> {
    let output = match (&item.boxed, &item.sig.output) {
        (Some(boxed), _) => boxed.output.clone(),
        (None, ReturnType::Type(_, ty)) => (**ty).clone(),
        (None, ReturnType::Default) => {
            let span = item.sig.ident.span();
            syn::parse_quote_spanned!(span=> ())
        }
    };
    let mut opaque = FindOpaque(None);
    opaque.visit_type(&output);
    if let Some(ty) = opaque.0 {
        errors.at(
            ty,
            format!(
                "`{function}` returns `{}`, but a type without a name cannot say whether to commit: name the type, as in `Result<Vec<Row>, Error>`",
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

struct FindOpaque<'ast>(Option<&'ast TypeImplTrait>);

impl<'ast> Visit<'ast> for FindOpaque<'ast> {
    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.0.get_or_insert(ty);
    }
}

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
                "`mandatory` only joins, but `{}` begins the transaction of `{function}`: name a session, as in `&mut self.tx as {name}`, or remove `mandatory`",
                text(source),
            ),
        );
    }
}

pub(crate) fn is_mut_reference(source: &Expr) -> bool {
    matches!(source, Expr::Reference(reference) if reference.mutability.is_some())
}

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
            format!("the session from `{shown}` has no name in the body of `{function}`: write `{shown} as tx`"),
        );
        return None;
    };
    let Ok(name) = syn::parse2::<Ident>(binding.to_token_stream()) else {
        errors.at(
            &binding,
            format!("`as` gives the session of `{function}` a name, but `{}` is not one: write `{shown} as tx`", text(&binding)),
        );
        return None;
    };
    if item.boxed.is_some() && is_mut_reference(&expr) {
        errors.at(
            &expr,
            format!("the boxed future of `{function}` (`#[async_trait]` makes one) takes all of `self`, so `{shown}` cannot be lent beside it: hold a `Db` and write `self.db as {name}`"),
        );
        return None;
    }
    if let Some(candidate) = candidates(item).into_iter().find(Candidate::is_session) {
        errors.at(
            candidate.typed,
            format!(
                "`{function}` has two sessions, `{}` and the parameter `{}`: remove the parameter, or write `#[transactional]`",
                text(quote!(#expr as #name)),
                candidate.name(),
            ),
        );
        return None;
    }
    Some(Session::Binding { source: expr, name })
}

struct Candidate<'a> {
    index: usize,
    marked: bool,
    typed: &'a PatType,
    ty: &'a Type,
}

impl Candidate<'_> {
    fn name(&self) -> String {
        match &*self.typed.pat {
            Pat::Ident(pat) => pat.ident.to_string(),
            pat => text(pat),
        }
    }

    fn exclusive(&self) -> Option<&TypeReference> {
        match self.ty {
            Type::Reference(reference) if reference.mutability.is_some() => Some(reference),
            _ => None,
        }
    }

    fn is_session(&self) -> bool {
        self.marked
            || self
                .exclusive()
                .is_some_and(|reference| is_tx(&reference.elem))
    }

    /// A session as people write it by mistake: `&Tx<DB>` or `Tx<DB>`.
    fn is_mistaken(&self) -> bool {
        match self.ty {
            Type::Reference(reference) => reference.mutability.is_none() && is_tx(&reference.elem),
            ty => is_tx(ty),
        }
    }

    /// `tx: &mut Tx<DB>`, what should have been written
    fn fix(&self) -> String {
        let target = match self.ty {
            Type::Reference(reference) => &*reference.elem,
            ty => ty,
        };
        format!("{}: &mut {}", self.name(), text(target))
    }
}

fn candidates(item: &RawItem) -> Vec<Candidate<'_>> {
    let inputs = item.sig.inputs.iter().enumerate();
    inputs
        .filter_map(|(index, input)| match input {
            FnArg::Typed(typed) => Some(Candidate {
                index,
                marked: take_marks(&mut input.clone()),
                typed,
                ty: plain(&typed.ty),
            }),
            FnArg::Receiver(_) => None,
        })
        .collect()
}

/// The type inside of parentheses and of the invisible groups that macros by example leave.
fn plain(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => plain(&group.elem),
        Type::Paren(paren) => plain(&paren.elem),
        ty => ty,
    }
}

fn is_tx(ty: &Type) -> bool {
    matches!(plain(ty), Type::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Tx")))
}

fn parameter(item: &RawItem, function: &str, errors: &mut Errors) -> Option<Session> {
    if refuse_marked_receiver(item, function, errors) {
        return None;
    }
    let all = candidates(item);
    let any_marked = all.iter().any(|candidate| candidate.marked);
    let sessions: Vec<&Candidate<'_>> = all
        .iter()
        .filter(|candidate| candidate.is_session() && candidate.marked == any_marked)
        .collect();
    match sessions.as_slice() {
        [] => {
            refuse_none(&all, item, function, errors);
            None
        }
        [session] => sound(session, item, function, errors),
        [first, second, ..] => {
            refuse_two(first, second, function, errors);
            None
        }
    }
}

fn refuse_marked_receiver(item: &RawItem, function: &str, errors: &mut Errors) -> bool {
    let receiver = item
        .sig
        .inputs
        .iter()
        .find(|input| matches!(input, FnArg::Receiver(_)) && take_marks(&mut (*input).clone()));
    if let Some(receiver) = receiver {
        errors.at(
            receiver,
            format!("`self` cannot be the session of `{function}`: write `#[transactional(&mut self.tx as tx)]`"),
        );
    }
    receiver.is_some()
}

fn refuse_two(first: &Candidate<'_>, second: &Candidate<'_>, function: &str, errors: &mut Errors) {
    let advice = if first.marked {
        "remove one `#[tx]`".to_owned()
    } else {
        format!("mark the one to run on, write `#[tx] {}`", first.fix())
    };
    errors.at(
        second.typed,
        format!(
            "`{function}` has two sessions, `{}` and `{}`: {advice}",
            first.name(),
            second.name(),
        ),
    );
}

fn refuse_none(all: &[Candidate<'_>], item: &RawItem, function: &str, errors: &mut Errors) {
    if let Some(mistaken) = all.iter().find(|candidate| candidate.is_mistaken()) {
        let how = match mistaken.ty {
            Type::Reference(_) => "as a shared reference, but its statements need an exclusive one",
            _ => "by value, but it stays with the caller",
        };
        errors.at(
            mistaken.typed,
            format!(
                "`{function}` takes the session `{}` {how}: write `{}`",
                mistaken.name(),
                mistaken.fix(),
            ),
        );
        return;
    }
    let source = if item.sig.receiver().is_some() {
        "self.db as tx"
    } else {
        "db as tx"
    };
    let marked = all
        .iter()
        .find(|candidate| candidate.exclusive().is_some())
        .map(|candidate| format!(", mark one, `#[tx] {}`", candidate.fix()))
        .unwrap_or_default();
    errors.at(
        &item.sig.ident,
        format!("`{function}` has no session: add `tx: &mut Tx<DB>`{marked}, or write `#[transactional({source})]`"),
    );
}

/// The session parameter, if it can become `impl Source<P>`.
fn sound(
    session: &Candidate<'_>,
    item: &RawItem,
    function: &str,
    errors: &mut Errors,
) -> Option<Session> {
    let name = session.name();
    let Some(reference) = session.exclusive() else {
        let found = text(session.ty);
        let fix = session.fix();
        errors.at(
            session.ty,
            format!("`#[tx]` marks the session of `{function}`, but `{found}` is not an exclusive reference: write `{fix}`"),
        );
        return None;
    };
    if item.boxed.is_some() {
        errors.at(
            session.typed,
            format!("`{function}` returns a boxed future (`#[async_trait]` makes one), so its parameters cannot change: remove `{name}` and write `#[transactional(self.db as {name})]`"),
        );
        return None;
    }
    if let Some(lifetime) = reference
        .lifetime
        .as_ref()
        .filter(|found| found.ident != "_")
    {
        errors.at(
            lifetime,
            format!("the session `{name}` of `{function}` has the lifetime `{lifetime}`, but it is lent for the call only: write `{}`", session.fix()),
        );
        return None;
    }
    Some(Session::Parameter {
        index: session.index,
        pat: session.typed.pat.clone(),
        target: reference.elem.clone(),
    })
}

/// Where generated code is blamed on `tokens`, without being taken for the user's by lints.
pub(crate) fn blame(tokens: impl ToTokens) -> (Span, Span) {
    let ours = |token: Option<proc_macro2::TokenTree>| {
        token.map_or_else(Span::mixed_site, |token| {
            Span::mixed_site().located_at(token.span())
        })
    };
    let mut tokens = tokens.into_token_stream().into_iter();
    let first = tokens.next();
    let last = tokens.last().or_else(|| first.clone());
    (ours(first), ours(last))
}
