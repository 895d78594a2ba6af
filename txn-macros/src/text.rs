//! Text for messages: the source text of tokens, lists of words, and near misses.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// The source text of tokens as a person would write it: `&mut Tx<Sqlite>` and not
/// `& mut Tx < Sqlite >`. It is the same with every compiler.
pub(crate) fn text(tokens: impl ToTokens) -> String {
    let mut out = String::new();
    write(tokens.into_token_stream(), &mut out);
    out
}

/// Lists the words: `` `a`, `b` or `c` ``.
pub(crate) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [head @ .., last] => format!("`{}` or `{last}`", head.join("`, `")),
    }
}

/// Returns the candidate that `word` was probably meant to be, if one is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance between two words, calculated row by row.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

/// Appends the text of the tokens.
fn write(tokens: TokenStream, out: &mut String) {
    let mut glued = true;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                out.push_str(open);
                write(group.stream(), out);
                out.push_str(close);
                glued = false;
            }
            TokenTree::Punct(punct) => glued = write_punct(&punct, out),
            word => {
                if !glued {
                    out.push(' ');
                }
                out.push_str(&word.to_string());
                glued = false;
            }
        }
    }
}

/// Appends a punctuation character. Returns whether the next word follows without a space.
fn write_punct(punct: &proc_macro2::Punct, out: &mut String) -> bool {
    let sign = punct.as_char();
    let alone = punct.spacing() == Spacing::Alone;
    let arrow = sign == '>' && out.ends_with('-');
    let operator = matches!(sign, '=' | '+' | '|') || (sign == '-' && !alone);
    let colon = sign == ':' && alone && !out.ends_with(':');
    if operator {
        out.push(' ');
    }
    out.push(sign);
    if arrow || colon || sign == ',' || (operator && alone) {
        out.push(' ');
        return true;
    }
    sign != '>'
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{ ", " }"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}
