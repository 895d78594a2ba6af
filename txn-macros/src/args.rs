//! The attribute's arguments as written: which are there, not whether they make sense.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, Token, Type, token};

use crate::error::Errors;

/// Every argument there is.
pub(crate) const KEYS: [&str; 12] = [
    "nested",
    "requires_new",
    "mandatory",
    "isolation",
    "read_only",
    "deferrable",
    "timeout",
    "retry",
    "commit_on",
    "rollback_on",
    "name",
    "crate",
];

#[derive(Default)]
pub(crate) struct RawArgs {
    pub(crate) source: Option<RawSource>,
    pub(crate) list: Vec<RawArg>,
}

pub(crate) struct RawSource {
    pub(crate) expr: Expr,
    /// What follows `as`; an expression parser takes it for a type.
    pub(crate) binding: Option<Type>,
}

pub(crate) struct RawArg {
    pub(crate) key: Ident,
    pub(crate) value: RawValue,
}

pub(crate) enum RawValue {
    Bare,
    Assigned(TokenStream),
    Listed(TokenStream),
    /// `isolation: x`, `nested true`
    Other(TokenStream),
}

impl RawValue {
    pub(crate) fn tokens(&self) -> TokenStream {
        match self {
            Self::Bare => TokenStream::new(),
            Self::Assigned(tokens) | Self::Listed(tokens) | Self::Other(tokens) => tokens.clone(),
        }
    }
}

pub(crate) fn parse(attr: TokenStream, errors: &mut Errors) -> RawArgs {
    let mut args = RawArgs::default();
    each(attr, errors, |input| parse_one(input, &mut args));
    args
}

/// Parses what stands between the commas; a fault ends at the next one.
pub(crate) fn each(
    attr: TokenStream,
    errors: &mut Errors,
    mut parse_one: impl FnMut(ParseStream) -> syn::Result<()>,
) {
    let parser = |input: ParseStream| {
        while !input.is_empty() {
            if let Err(error) = parse_one(input) {
                errors.push(error);
                until_comma(input);
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    };
    if let Err(error) = parser.parse2(attr) {
        errors.push(error);
    }
}

fn parse_one(input: ParseStream, args: &mut RawArgs) -> syn::Result<()> {
    if is_argument(input) {
        args.list.push(parse_argument(input)?);
        return Ok(());
    }
    let source = parse_source(input)?;
    if args.source.is_some() || !args.list.is_empty() {
        let error = syn::Error::new_spanned(
            &source.expr,
            "the source of the session comes first, and there is only one: write `#[transactional(SOURCE as tx, …)]`",
        );
        // In the wrong place, but there: that there is none shall not be reported too.
        args.source.get_or_insert(source);
        return Err(error);
    }
    args.source = Some(source);
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    Err(input.error(
        "unexpected text after the source of the session: write `SOURCE as tx` and then a comma",
    ))
}

/// An argument begins with a word; the source may too (`db as tx`, `pool() as tx`), and is told by what follows.
fn is_argument(input: ParseStream) -> bool {
    let ahead = input.fork();
    let Ok(key) = ahead.call(Ident::parse_any) else {
        return false;
    };
    if ahead.peek(token::Paren) && ahead.parse::<TokenTree>().is_err() || key == "self" {
        return false;
    }
    let ends = ahead.is_empty() || ahead.peek(Token![,]);
    let assigned = ahead.peek(Token![=]) && !ahead.peek(Token![==]);
    ends || assigned || (is_known(&key) && !goes_on(&ahead))
}

fn is_known(key: &Ident) -> bool {
    KEYS.iter().any(|name| key == name)
}

/// Whether an expression that began with a word goes on.
fn goes_on(input: ParseStream) -> bool {
    input.peek(Token![as])
        || input.peek(Token![.])
        || input.peek(Token![::])
        || input.peek(Token![?])
}

pub(crate) fn parse_argument(input: ParseStream) -> syn::Result<RawArg> {
    let key = input.call(Ident::parse_any)?;
    let value = if input.is_empty() || input.peek(Token![,]) {
        RawValue::Bare
    } else if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        RawValue::Assigned(until_comma(input))
    } else if input.peek(token::Paren) {
        let content;
        syn::parenthesized!(content in input);
        RawValue::Listed(content.parse()?)
    } else {
        RawValue::Other(until_comma(input))
    };
    Ok(RawArg { key, value })
}

fn parse_source(input: ParseStream) -> syn::Result<RawSource> {
    match input.parse()? {
        Expr::Cast(cast) => Ok(RawSource {
            expr: *cast.expr,
            binding: Some(*cast.ty),
        }),
        expr => Ok(RawSource {
            expr,
            binding: None,
        }),
    }
}

pub(crate) fn until_comma(input: ParseStream) -> TokenStream {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        match input.parse::<TokenTree>() {
            Ok(token) => tokens.extend([token]),
            Err(_) => break,
        }
    }
    tokens
}
