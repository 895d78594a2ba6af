//! Splits a text of SQL into tokens, as far as that is needed to find its statements and their
//! words.

/// A token. White space and comments are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword, a name or a number.
    Word(&'a str),
    /// The text between quotes: a literal or a name.
    Quoted(&'a str),
    /// Any other character.
    Sign(char),
}

#[cfg_attr(
    not(any(feature = "mysql", feature = "sqlite")),
    allow(dead_code, reason = "one engine looks at more than words")
)]
impl<'a> Token<'a> {
    /// Returns whether it is this word, without quotes and in whatever case.
    pub(crate) fn is_word(self, word: &str) -> bool {
        matches!(self, Self::Word(is) if is.eq_ignore_ascii_case(word))
    }

    /// The text of a word, or the text between quotes; empty for a sign.
    pub(crate) fn text(self) -> &'a str {
        match self {
            Self::Word(text) | Self::Quoted(text) => text,
            Self::Sign(_) => "",
        }
    }
}

/// An iterator over the tokens of a text. A clone looks ahead.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    /// The part of the text that was not read yet.
    rest: &'a str,
    /// The opening and closing quotes.
    quotes: &'static [(char, char)],
}

impl<'a> Tokens<'a> {
    /// The tokens of `sql`. `quotes` are the opening and closing quotes; if both are the same, a
    /// doubled quote stands for one quote inside.
    pub(crate) fn new(sql: &'a str, quotes: &'static [(char, char)]) -> Self {
        Self { rest: sql, quotes }
    }

    /// Reads the text between quotes, up to this closing quote.
    fn quoted(&mut self, end: char) -> Token<'a> {
        let text = &self.rest[1..];
        let mut from = 0;
        loop {
            let Some(at) = text[from..].find(end).map(|at| at + from) else {
                // It is not closed, and goes to the end of the text.
                self.rest = "";
                return Token::Quoted(text);
            };
            let behind = &text[at + end.len_utf8()..];
            if end != ']' && behind.starts_with(end) {
                from = at + 2 * end.len_utf8();
                continue;
            }
            self.rest = behind;
            return Token::Quoted(&text[..at]);
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = skip_space(self.rest);
        let first = self.rest.chars().next()?;
        if let Some((_, end)) = self.quotes.iter().find(|(begin, _)| *begin == first) {
            return Some(self.quoted(*end));
        }
        let is_word_char = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        let end = self
            .rest
            .find(|c| !is_word_char(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end.max(first.len_utf8()));
        self.rest = rest;
        Some(match end {
            0 => Token::Sign(first),
            _ => Token::Word(word),
        })
    }
}

/// The text without the white space and the comments that it begins with.
fn skip_space(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let behind = match rest.strip_prefix("/*") {
            Some(comment) => comment.split_once("*/"),
            None if rest.starts_with("--") => rest.split_once('\n'),
            None => return rest,
        };
        rest = behind.map_or("", |(_, behind)| behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(sql: &str) -> Vec<Token<'_>> {
        Tokens::new(sql, &[('\'', '\''), ('"', '"'), ('[', ']')]).collect()
    }

    #[test]
    fn words_are_told_from_signs_and_from_what_is_quoted_or_a_comment() {
        use Token::{Quoted, Sign, Word};
        assert_eq!(
            tokens("SELECT a_1,'b;''c' -- d;\n/* e; */ FROM \"f\";[g]"),
            [
                Word("SELECT"),
                Word("a_1"),
                Sign(','),
                Quoted("b;''c"),
                Word("FROM"),
                Quoted("f"),
                Sign(';'),
                Quoted("g")
            ]
        );
        assert_eq!(
            tokens("é = ?1"),
            [Word("é"), Sign('='), Sign('?'), Word("1")]
        );
    }

    #[test]
    fn a_text_that_stops_in_the_middle_is_read_to_its_end() {
        for sql in ["", " ", "-- a", "/* a", "/*/", "-"] {
            assert!(tokens(sql).len() <= 1, "{sql}");
        }
        assert_eq!(tokens("'a"), [Token::Quoted("a")]);
        assert_eq!(tokens("'a'''"), [Token::Quoted("a''")]);
        assert_eq!(tokens("[é"), [Token::Quoted("é")]);
    }
}
