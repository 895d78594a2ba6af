//! Parses the arguments of the attribute as they are written, without checking whether they make
//! sense.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, Token, Type, token};

use crate::error::Errors;

/// The names of all arguments.
pub(crate) const KEYS: [&str; 14] = [
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
    "error",
    "outcome",
    "name",
    "crate",
];

/// The content of the attribute's parentheses.
#[derive(Default)]
pub(crate) struct RawArgs {
    /// The source of the session, in the binding form.
    pub(crate) source: Option<RawSource>,
    /// The arguments after it, in their order.
    pub(crate) list: Vec<RawArg>,
}

/// `SOURCE as tx`
pub(crate) struct RawSource {
    /// The expression in front of `as`.
    pub(crate) expr: Expr,
    /// The name after `as`, which an expression parser takes for a type. `None` if there is no
    /// `as`.
    pub(crate) binding: Option<Type>,
}

/// One argument: its name, which may be unknown, and its value.
pub(crate) struct RawArg {
    pub(crate) key: Ident,
    pub(crate) value: RawValue,
}

/// The value of an argument, by the syntax that it is written in.
pub(crate) enum RawValue {
    /// `nested`
    Bare,
    /// `timeout = "2s"`
    Assigned(TokenStream),
    /// `commit_on(PATTERN)`
    Listed(TokenStream),
    /// Anything else, which is refused later: `isolation: x`, `nested true`
    Other(TokenStream),
}

impl RawValue {
    /// The tokens of the value, without the syntax around them.
    pub(crate) fn tokens(&self) -> TokenStream {
        match self {
            Self::Bare => TokenStream::new(),
            Self::Assigned(tokens) | Self::Listed(tokens) | Self::Other(tokens) => tokens.clone(),
        }
    }
}

/// Parses the arguments of `#[transactional]`. One that cannot be parsed is reported and left out.
pub(crate) fn parse(attr: TokenStream, errors: &mut Errors) -> RawArgs {
    let mut args = RawArgs::default();
    each(attr, errors, |input| parse_one(input, &mut args));
    args
}

/// Calls `parse_one` for each part between two commas. After an error it goes on behind the next
/// comma, so that all errors are reported together.
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

/// Parses an argument, or the source, which has to come first.
fn parse_one(input: ParseStream, args: &mut RawArgs) -> syn::Result<()> {
    if is_argument(input) {
        args.list.push(parse_argument(input)?);
        return Ok(());
    }
    let source = parse_source(input)?;
    if args.source.is_some() || !args.list.is_empty() {
        let error = syn::Error::new_spanned(
            &source.expr,
            "the source of the session comes first, and there is only one: write \
             `#[transactional(SOURCE as tx, …)]`",
        );
        // The source is kept, although it is in the wrong place. Otherwise a second error would say
        // that there is no source.
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

/// Returns whether an argument comes next. It begins with a word, but the source may begin with one
/// too (`db as tx`, `pool() as tx`), so what follows the word decides.
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

/// Returns whether there is an argument with this name.
pub(crate) fn is_known(key: &Ident) -> bool {
    KEYS.iter().any(|name| key == name)
}

/// Returns whether an expression that began with a word goes on after it.
fn goes_on(input: ParseStream) -> bool {
    input.peek(Token![as])
        || input.peek(Token![.])
        || input.peek(Token![::])
        || input.peek(Token![?])
}

/// Parses a name and its value.
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

/// Parses the source of the session, with its name if it has one.
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

/// Takes all tokens in front of the next comma.
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
