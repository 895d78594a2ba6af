//! Reborrows without a parser, in bodies where every use of the session is certainly an argument.
//! Most bodies are like that, and parsing them would take half of the macro's time.

use proc_macro2::{Delimiter, Group, Ident, Spacing, TokenStream, TokenTree};

use super::reborrowed;

/// Words that may stand before parentheses without being called.
const KEYWORDS: [&str; 12] = [
    "as", "break", "else", "if", "in", "let", "match", "move", "mut", "ref", "return", "while",
];

/// Returns the body with reborrows. Returns `None` if only a parser can tell whether a use of the
/// session is an argument, or whether the body is a lone expression.
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

/// Reborrows in the tokens. `is_call` says that they are certainly the arguments of a call.
fn walk(tokens: TokenStream, session: &Ident, is_call: bool) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut output = TokenStream::new();
    for (at, token) in tokens.iter().enumerate() {
        let (before, after) = (&tokens[..at], tokens.get(at + 1));
        match token {
            TokenTree::Ident(ident) if ident == session => {
                if !is_call || !is_lone(before.last(), after) || is_between_bars(before) {
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

/// Returns whether a token between these two is an argument by itself.
fn is_lone(before: Option<&TokenTree>, after: Option<&TokenTree>) -> bool {
    let is_edge = |token: Option<&TokenTree>| token.is_none() || is_punct(token, ',');
    is_edge(before) && is_edge(after)
}

/// Returns whether what follows these tokens may be a parameter of a closure.
fn is_between_bars(before: &[TokenTree]) -> bool {
    let is_bar =
        |token: &&TokenTree| matches!(token, TokenTree::Punct(bar) if bar.as_char() == '|');
    before.iter().filter(is_bar).count() % 2 == 1
}

/// Returns whether the group has the arguments of a call: `.name(…)`, or `name(…).`. Neither can be
/// a pattern, which would bind the name.
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

/// Returns whether a group after these tokens belongs to a macro: `name!(…)`, `macro_rules! name
/// {…}`, but not `return !(…)`.
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
