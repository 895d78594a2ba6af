//! Splits a text of SQL into its statements.
//!
//! The text is read as the server would read it only as far as needed to tell a `;` between two
//! statements from one inside of a literal, a quoted name or a comment. If that is uncertain, the
//! answer is that there may be several statements: the price is that the session is asked once
//! more, while a statement that was overlooked could leave a transaction open for the next user.

/// The literals that may have a `;` inside on some engines only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dialect {
    /// `$$ … $$` and `$tag$ … $tag$` are literals.
    pub(crate) dollar_quotes: bool,
}

/// The statements of a text, without the empty ones.
///
/// An unfinished literal or comment counts as a statement of its own, since the server may have
/// another idea of where it ends.
pub(super) fn statements(sql: &str, dialect: Dialect) -> Vec<&str> {
    let plain = split(sql, dialect, false);
    // Whether `\'` ends a literal depends on the engine, its settings and the kind of literal.
    if sql.contains('\\') {
        let escaped = split(sql, dialect, true);
        if escaped.len() > plain.len() {
            return escaped;
        }
    }
    plain
}

/// Splits a text, with or without the backslash as an escape inside of quotes.
fn split(sql: &str, dialect: Dialect, escapes: bool) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < sql.len() {
        let rest = &sql[at..];
        if rest.starts_with(';') {
            found.push(&sql[start..at]);
            start = at + 1;
            at = start;
            continue;
        }
        match skipped(rest, dialect, escapes) {
            Some(length) => at += length,
            None if is_unfinished(rest, dialect) => {
                found.push(&sql[start..at]);
                let mut found = not_empty(found);
                found.push(rest);
                return found;
            }
            None => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    found.push(&sql[start..]);
    not_empty(found)
}

/// Leaves the statements out that have no word.
fn not_empty(mut statements: Vec<&str>) -> Vec<&str> {
    statements.retain(|statement| !super::first_keyword(statement).is_empty());
    statements
}

/// The length of the literal, quoted name or comment that the text begins with; `None` if it begins
/// with something else, or if that has no end.
fn skipped(rest: &str, dialect: Dialect, escapes: bool) -> Option<usize> {
    match rest.as_bytes() {
        [quote @ (b'\'' | b'"' | b'`'), ..] => quoted(rest, *quote, escapes),
        [b'-', b'-', ..] => Some(rest.find('\n').unwrap_or(rest.len())),
        // MySQL runs what stands in /*! … */, and MariaDB what stands in /*M! … */.
        [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => Some(2),
        [b'/', b'*', ..] => comment(rest),
        [b'$', ..] if dialect.dollar_quotes => {
            let tag = dollar_tag(rest)?;
            let end = rest[tag.len()..].find(tag)?;
            Some(end + 2 * tag.len())
        }
        _ => None,
    }
}

/// Returns whether the text begins with something that [`skipped`] would skip if it had an end.
fn is_unfinished(rest: &str, dialect: Dialect) -> bool {
    rest.starts_with(['\'', '"', '`'])
        || rest.starts_with("/*")
        || dialect.dollar_quotes && dollar_tag(rest).is_some()
}

/// The length of what stands in quotes at the beginning of the text, quotes included.
fn quoted(rest: &str, quote: u8, escapes: bool) -> Option<usize> {
    let mut bytes = rest.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' && escapes {
            bytes.next();
        } else if byte == quote {
            // A doubled quote stands for a quote inside. It is read as the end of one literal and
            // the beginning of another, which is as good here.
            return Some(at + 1);
        }
    }
    None
}

/// The length of the comment that the text begins with. PostgreSQL nests comments, the others end
/// them at the first `*/`. The shorter reading is taken, since less can hide in it.
fn comment(rest: &str) -> Option<usize> {
    rest.find("*/").map(|at| at + 2)
}

/// The `$tag$` that the text begins with; the tag may be empty.
fn dollar_tag(rest: &str) -> Option<&str> {
    let name = rest.strip_prefix('$')?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let is_tag = name[end..].starts_with('$') && !name.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| &rest[..end + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn count(sql: &str, dollar_quotes: bool, expected: usize) {
        let found = statements(sql, Dialect { dollar_quotes });
        assert_eq!(found.len(), expected, "{sql}: {found:?}");
    }

    #[test]
    fn a_semicolon_at_the_end_makes_no_second_statement() {
        for sql in [
            "",
            " ; ",
            "SELECT 1",
            "SELECT 1;",
            "SELECT 1; -- the end\n ;; ",
        ] {
            count(sql, true, usize::from(sql.contains("SELECT")));
        }
    }

    #[test]
    fn each_statement_of_a_script_is_found() {
        let script = "SET a = 'x;y';\nBEGIN; -- not; here\n INSERT INTO \"t;\" VALUES (1) /* ; */";
        let dialect = Dialect {
            dollar_quotes: true,
        };
        let found: Vec<_> = statements(script, dialect)
            .into_iter()
            .map(super::super::first_keyword)
            .collect();
        assert_eq!(found, ["SET", "BEGIN", "INSERT"]);
    }

    #[test]
    fn literals_names_and_comments_hide_a_separator() {
        for sql in [
            "SELECT 'a;b'",
            "SELECT 'it''s;'",
            "SELECT `a;b`",
            "SELECT \"a;b\" -- ;",
            "SELECT 1 /* ; */",
        ] {
            count(sql, false, 1);
        }
        count("DO $$ BEGIN a; b; END $$", true, 1);
        count("DO $x$ a; $$ b; $x$ ; SELECT 1", true, 2);
        count("SELECT $1; SELECT $2", true, 2);
        count("SELECT $$; COMMIT", false, 2);
    }

    #[test]
    fn what_may_hide_a_statement_counts_as_one() {
        // In one reading of the backslash the literal goes on, in the other COMMIT is outside.
        count(r"SELECT 'a\'; COMMIT -- '", false, 2);
        count(r"SELECT 'a\'; COMMIT; '", false, 3);
        count("SELECT 'open", false, 2);
        count("SELECT 1 /* open", false, 2);
        count("SELECT 1 /*!; COMMIT */", false, 2);
        count("/* /* */ ; COMMIT /* */ */", true, 1);
    }
}
