//! The reborrow without a parser, for bodies in which no use of the session can be anything but an argument. Most are such, and to
//! parse them would take half of the macro's time.

use proc_macro2::{Delimiter, Group, Ident, Spacing, TokenStream, TokenTree};

use super::reborrowed;

/// Words that may stand before parentheses and call nothing.
const KEYWORDS: [&str; 12] = [
    "as", "break", "else", "if", "in", "let", "match", "move", "mut", "ref", "return", "while",
];

/// `None` if it takes a parser to tell what the uses of the session are, or whether this is a lone expression.
pub(crate) fn reborrow(body: &TokenStream, session: Option<&Ident>) -> Option<TokenStream> {
    let is_statement_end = |token| is_punct(Some(&token), ';');
    if !body.clone().into_iter().any(is_statement_end) {
        return None;
    }
    match session {
        None => Some(body.clone()),
        Some(session) => walk(body.clone(), session, false),
    }
}

/// `is_call`: these are the arguments of a call for certain.
fn walk(tokens: TokenStream, session: &Ident, is_call: bool) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut output = TokenStream::new();
    for (at, token) in tokens.iter().enumerate() {
        let (before, after) = (&tokens[..at], tokens.get(at + 1));
        match token {
            TokenTree::Ident(ident) if ident == session => {
                if !is_call || !is_lone(before.last(), after) {
                    return None;
                }
                output.extend(reborrowed(ident));
            }
            TokenTree::Group(group) if !is_of_macro(before) => {
                let is_call = is_call_of(group, before, after);
                let inner = walk(group.stream(), session, is_call)?;
                let mut rewritten = Group::new(group.delimiter(), inner);
                rewritten.set_span(group.span());
                output.extend([TokenTree::Group(rewritten)]);
            }
            other => output.extend([other.clone()]),
        }
    }
    Some(output)
}

/// An argument and nothing else.
fn is_lone(before: Option<&TokenTree>, after: Option<&TokenTree>) -> bool {
    let is_edge = |token: Option<&TokenTree>| token.is_none() || is_punct(token, ',');
    is_edge(before) && is_edge(after)
}

/// `.name(…)`, and `name(…).`: neither can be a pattern, which would bind the name.
fn is_call_of(group: &Group, before: &[TokenTree], after: Option<&TokenTree>) -> bool {
    if group.delimiter() != Delimiter::Parenthesis {
        return false;
    }
    match before {
        [.., dot, TokenTree::Ident(_)] if is_punct(Some(dot), '.') => true,
        [.., TokenTree::Ident(name)] => !is_keyword(name) && is_punct(after, '.'),
        _ => false,
    }
}

/// `name!(…)`, `macro_rules! name {…}`; not `return !(…)`.
fn is_of_macro(before: &[TokenTree]) -> bool {
    let before = match before {
        [before @ .., TokenTree::Ident(_)] => before,
        all => all,
    };
    match before {
        [.., TokenTree::Ident(name), bang] => is_punct(Some(bang), '!') && !is_keyword(name),
        _ => false,
    }
}

fn is_keyword(ident: &Ident) -> bool {
    KEYWORDS.iter().any(|keyword| ident == keyword)
}

fn is_punct(token: Option<&TokenTree>, char: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct))
        if punct.as_char() == char && punct.spacing() == Spacing::Alone)
}
