//! Parses the annotated item. Only the signature is parsed. The body stays tokens, so that one that
//! is half typed breaks nothing.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser as _};
use syn::{
    AttrStyle, Attribute, Expr, ExprAsync, ExprCall, FnArg, GenericArgument, Item, PathArguments,
    ReturnType, Signature, Stmt, Token, Type, TypeParamBound, Visibility,
};

use crate::reborrow::parse_body;

/// An annotated function.
pub(crate) struct RawItem {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// The body with its braces; `None` for a trait method without one.
    pub(crate) body: Option<Group>,
    /// The parts of a function that returns a boxed future, if it is one.
    pub(crate) boxed: Option<Boxed>,
}

/// The parts of the error about an attribute on something that is not a function.
pub(crate) struct Attribution {
    /// The name of the attribute.
    pub(crate) name: &'static str,
    /// The purpose of the attribute, for the middle of the sentence.
    pub(crate) purpose: &'static str,
    /// The place where the attribute belongs. `None` if that depends on the item.
    pub(crate) place: Option<&'static str>,
}

/// The parts of a function that returns a boxed future, as `#[async_trait]` makes it of an
/// `async fn`, and as people write it by hand:
/// `fn f(…) -> Pin<Box<dyn Future<Output = T>>> { …; Box::pin(async move { … }) }`
pub(crate) struct Boxed {
    /// `T`
    pub(crate) output: Type,
    /// The statements in front of the last expression.
    pub(crate) before: Vec<Stmt>,
    /// `Box::pin()`, without its argument.
    pub(crate) call: ExprCall,
    /// `async move { … }`
    pub(crate) block: ExprAsync,
}

impl RawItem {
    /// The function as it is emitted when its annotation is refused: without anything that rustc
    /// would report a second time.
    pub(crate) fn fallback(&self) -> TokenStream {
        let Self {
            attrs,
            vis,
            sig,
            body,
            boxed,
        } = self;
        let mut sig = sig.clone();
        sig.inputs.iter_mut().for_each(|input| {
            take_marks(input);
        });
        sig.variadic = None;
        sig.constness = None;
        if boxed.is_none() && body.as_ref().is_some_and(|body| awaits(body.stream())) {
            sig.asyncness.get_or_insert_default();
        }
        let body = body
            .as_ref()
            .map_or_else(|| quote!(;), ToTokens::to_token_stream);
        quote!(#(#attrs)* #vis #sig #body)
    }
}

/// Removes the `#[tx]` attributes of a parameter. Returns whether there was one.
pub(crate) fn take_marks(input: &mut FnArg) -> bool {
    let attrs = match input {
        FnArg::Receiver(receiver) => &mut receiver.attrs,
        FnArg::Typed(typed) => &mut typed.attrs,
    };
    let before = attrs.len();
    attrs.retain(|attr| !attr.path().is_ident("tx"));
    attrs.len() < before
}

/// Parses a function. If the item is something else, the error says what it is, and where the
/// attribute belongs.
pub(crate) fn parse(item: TokenStream, attribute: &Attribution) -> syn::Result<RawItem> {
    let parsed = parse_function.parse2(item.clone());
    parsed.map_err(|error| match syn::parse2::<Item>(item) {
        Ok(item) => refuse_kind(&item, attribute).unwrap_or(error),
        Err(_) => error,
    })
}

/// Parses a function, with or without a body.
fn parse_function(input: ParseStream) -> syn::Result<RawItem> {
    let mut attrs = input.call(Attribute::parse_outer)?;
    let vis = input.parse()?;
    let sig: Signature = input.parse()?;
    if input.peek(Token![;]) {
        input.parse::<Token![;]>()?;
        return Ok(RawItem {
            attrs,
            vis,
            sig,
            body: None,
            boxed: None,
        });
    }
    let content;
    let brace = syn::braced!(content in input);
    attrs.extend(content.call(Attribute::parse_inner)?.into_iter().map(outer));
    let body = braced(content.parse()?, brace.span.join());
    let boxed = parse_boxed(&sig, &body);
    Ok(RawItem {
        attrs,
        vis,
        sig,
        body: Some(body),
        boxed,
    })
}

/// Turns an inner attribute into an outer one. `#![allow(…)]` at the top of a body means the same
/// as `#[allow(…)]` on the function.
fn outer(mut attr: Attribute) -> Attribute {
    attr.style = AttrStyle::Outer;
    attr
}

/// Puts braces with the span `span` around tokens.
pub(crate) fn braced(tokens: TokenStream, span: Span) -> Group {
    let mut group = Group::new(Delimiter::Brace, tokens);
    group.set_span(span);
    group
}

/// Returns whether `await` occurs anywhere in the tokens.
fn awaits(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => awaits(group.stream()),
        TokenTree::Ident(ident) => ident == "await",
        _ => false,
    })
}

/// Input:  `fn f(…) -> Pin<Box<dyn Future<Output = T> + …>> { before; Box::pin(async move { … }) }`
/// Output: `T`, `before`, the call and the async block
fn parse_boxed(sig: &Signature, body: &Group) -> Option<Boxed> {
    let ReturnType::Type(_, ty) = &sig.output else {
        return None;
    };
    if sig.asyncness.is_some() {
        return None;
    }
    let output = future_output(argument_of(argument_of(ty, "Pin")?, "Box")?)?.clone();
    let mut before = parse_body(body.stream())?;
    let Stmt::Expr(Expr::Call(mut call), None) = before.pop()? else {
        return None;
    };
    match call.args.pop()?.into_value() {
        Expr::Async(block) if call.args.is_empty() && is_pin(&call.func) => Some(Boxed {
            output,
            before,
            call,
            block,
        }),
        _ => None,
    }
}

/// Returns whether the function of a call is named `pin`, as in `Box::pin`.
fn is_pin(function: &Expr) -> bool {
    let Expr::Path(path) = function else {
        return false;
    };
    let last = path.path.segments.last();
    last.is_some_and(|last| last.ident == "pin")
}

/// Input:  `…::Name<T, …>`
/// Output: `T`
fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if last.ident == name => {
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Input:  `dyn Future<Output = T> + …`
/// Output: `T`
fn future_output(ty: &Type) -> Option<&Type> {
    let Type::TraitObject(object) = ty else {
        return None;
    };
    let TypeParamBound::Trait(bound) = object.bounds.first()? else {
        return None;
    };
    let last = bound.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(&assoc.ty),
        _ => None,
    })
}

/// The error about an attribute on something that is not a function.
fn refuse_kind(item: &Item, attribute: &Attribution) -> Option<syn::Error> {
    let (kind, advice) = match item {
        Item::Struct(_) => ("a struct", "an async function"),
        Item::Enum(_) => ("an enum", "an async function"),
        Item::Impl(_) => ("an impl block", "the async methods inside"),
        Item::Trait(_) => ("a trait", "the async methods of the implementation"),
        Item::Mod(_) => ("a module", "the async functions inside"),
        Item::Fn(_) => return None,
        _ => ("this kind of item", "an async function"),
    };
    let Attribution {
        name,
        purpose,
        place,
    } = attribute;
    let advice = place.unwrap_or(advice);
    Some(syn::Error::new(
        Span::call_site(),
        format!("`#[{name}]` cannot be applied to {kind}, it {purpose}: move it to {advice}"),
    ))
}
