//! The annotated item as written. The signature is parsed; the body stays tokens, so that a half-typed one breaks nothing.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser as _};
use syn::{
    AttrStyle, Attribute, Expr, ExprAsync, ExprCall, FnArg, GenericArgument, Item, PathArguments,
    ReturnType, Signature, Stmt, Token, Type, TypeParamBound, Visibility,
};

use crate::reborrow::parse_body;

pub(crate) struct RawItem {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// None: a trait method without one.
    pub(crate) body: Option<Group>,
    pub(crate) boxed: Option<Boxed>,
}

/// What who put an attribute on something else than a function is told about it.
pub(crate) struct Attribution {
    pub(crate) name: &'static str,
    pub(crate) purpose: &'static str,
    /// Where it belongs, if there is one answer for all.
    pub(crate) place: Option<&'static str>,
}

/// What `#[async_trait]` made of an `async fn`, and what people write by hand:
/// `fn f(…) -> Pin<Box<dyn Future<Output = T>>> { …; Box::pin(async move { … }) }`
pub(crate) struct Boxed {
    pub(crate) output: Type,
    pub(crate) before: Vec<Stmt>,
    pub(crate) call: ExprCall,
    pub(crate) block: ExprAsync,
}

impl RawItem {
    /// What is emitted when the function is refused: the function, less what rustc would report a second time.
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

/// Removes the `#[tx]`s of a parameter; tells whether there was one.
pub(crate) fn take_marks(input: &mut FnArg) -> bool {
    let attrs = match input {
        FnArg::Receiver(receiver) => &mut receiver.attrs,
        FnArg::Typed(typed) => &mut typed.attrs,
    };
    let before = attrs.len();
    attrs.retain(|attr| !attr.path().is_ident("tx"));
    attrs.len() < before
}

pub(crate) fn parse(item: TokenStream, attribute: &Attribution) -> syn::Result<RawItem> {
    let parsed = parse_function.parse2(item.clone());
    parsed.map_err(|error| match syn::parse2::<Item>(item) {
        Ok(item) => refuse_kind(&item, attribute).unwrap_or(error),
        Err(_) => error,
    })
}

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

/// `#![allow(…)]` at the top of a body says the same as `#[allow(…)]` on the function.
fn outer(mut attr: Attribute) -> Attribute {
    attr.style = AttrStyle::Outer;
    attr
}

pub(crate) fn braced(tokens: TokenStream, span: Span) -> Group {
    let mut group = Group::new(Delimiter::Brace, tokens);
    group.set_span(span);
    group
}

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

fn is_pin(function: &Expr) -> bool {
    matches!(function, Expr::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "pin"))
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
