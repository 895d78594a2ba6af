//! Every rule about the session parameter.

use syn::{FnArg, Pat, PatType, Type, TypeReference};

use super::Session;
use crate::error::Errors;
use crate::item::{RawItem, take_marks};
use crate::text::text;

/// A parameter that may be the session.
pub(super) struct Candidate<'a> {
    /// Its position among the parameters.
    index: usize,
    /// True if it has the attribute `#[tx]`.
    marked: bool,
    /// The parameter as it was written.
    pub(super) typed: &'a PatType,
    /// Its type, without parentheses.
    ty: &'a Type,
}

impl Candidate<'_> {
    /// Its name, or its pattern.
    pub(super) fn name(&self) -> String {
        match &*self.typed.pat {
            Pat::Ident(pat) => pat.ident.to_string(),
            pat => text(pat),
        }
    }

    /// Its type, if that is `&mut T`.
    fn exclusive(&self) -> Option<&TypeReference> {
        match self.ty {
            Type::Reference(reference) if reference.mutability.is_some() => Some(reference),
            _ => None,
        }
    }

    /// Returns whether it is the session: marked with `#[tx]`, or a `&mut` of a type whose name
    /// ends in `Tx`.
    pub(super) fn is_session(&self) -> bool {
        self.marked
            || self
                .exclusive()
                .is_some_and(|reference| is_tx(&reference.elem))
    }

    /// Returns whether it is a session as people write it by mistake: `&Tx<DB>` or `Tx<DB>`.
    fn is_mistaken(&self) -> bool {
        match self.ty {
            Type::Reference(reference) => reference.mutability.is_none() && is_tx(&reference.elem),
            ty => is_tx(ty),
        }
    }

    /// The parameter that should have been written: `tx: &mut Tx<DB>`.
    fn fix(&self) -> String {
        let target = match self.ty {
            Type::Reference(reference) => &*reference.elem,
            ty => ty,
        };
        format!("{}: &mut {}", self.name(), text(target))
    }
}

/// Returns all parameters except `self`.
pub(super) fn candidates(item: &RawItem) -> Vec<Candidate<'_>> {
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

/// The type inside of parentheses, and of the invisible groups that `macro_rules!` macros leave.
pub(crate) fn plain(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => plain(&group.elem),
        Type::Paren(paren) => plain(&paren.elem),
        ty => ty,
    }
}

/// Returns whether the name of a type ends in `Tx`.
fn is_tx(ty: &Type) -> bool {
    matches!(plain(ty), Type::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Tx")))
}

/// Finds the session parameter. If a parameter is marked with `#[tx]`, only marked ones count.
pub(super) fn parameter(item: &RawItem, function: &str, errors: &mut Errors) -> Option<Session> {
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

/// Refuses `#[tx] self`. Returns whether it did.
fn refuse_marked_receiver(item: &RawItem, function: &str, errors: &mut Errors) -> bool {
    let receiver = item
        .sig
        .inputs
        .iter()
        .find(|input| matches!(input, FnArg::Receiver(_)) && take_marks(&mut (*input).clone()));
    if let Some(receiver) = receiver {
        errors.at(
            receiver,
            format!(
                "`self` cannot be the session of `{function}`: write \
                 `#[transactional(&mut self.tx as tx)]`"
            ),
        );
    }
    receiver.is_some()
}

/// Refuses a function with two session parameters.
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

/// Refuses a function without a session. If one was written wrongly, the error says how to write
/// it.
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
        format!(
            "`{function}` has no session: add `tx: &mut Tx<DB>`{marked}, or write \
             `#[transactional({source})]`"
        ),
    );
}

/// Checks that the session parameter can become `impl Source<P>`.
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
            format!(
                "`#[tx]` marks the session of `{function}`, but `{found}` is not an exclusive \
                 reference: write `{fix}`"
            ),
        );
        return None;
    };
    if item.boxed.is_some() {
        errors.at(
            session.typed,
            format!(
                "`{function}` returns a boxed future (`#[async_trait]` makes one), so its \
                 parameters cannot change: remove `{name}` and write \
                 `#[transactional(self.db as {name})]`"
            ),
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
            format!(
                "the session `{name}` of `{function}` has the lifetime `{lifetime}`, but it is \
                 lent for the call only: write `{}`",
                session.fix()
            ),
        );
        return None;
    }
    Some(Session::Parameter {
        index: session.index,
        pat: session.typed.pat.clone(),
        target: reference.elem.clone(),
    })
}
