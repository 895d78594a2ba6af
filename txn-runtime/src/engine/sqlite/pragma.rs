//! Refuses the settings of SQLite that would do nothing where they are set, or harm. The error says
//! what works instead.

use sqlx::sqlite::SqliteConnectOptions;

use crate::engine::Place;
use crate::engine::statement::{Token, Tokens};

/// The opening and closing quotes of literals and names.
const QUOTES: &[(char, char)] = &[('\'', '\''), ('"', '"'), ('`', '`'), ('[', ']')];

/// Settings that SQLite ignores inside of a transaction, without an error.
const IGNORED_INSIDE: &[&str] = &[
    "auto_vacuum",
    "encoding",
    "foreign_keys",
    "journal_mode",
    "page_size",
];

/// Settings of a session, as opposed to settings of the database: each session has its own value.
pub(super) const OF_A_SESSION: &[&str] = &[
    "analysis_limit",
    "automatic_index",
    "busy_timeout",
    "cache_size",
    "cache_spill",
    "case_sensitive_like",
    "cell_size_check",
    "checkpoint_fullfsync",
    "defer_foreign_keys",
    "foreign_keys",
    "fullfsync",
    "ignore_check_constraints",
    "journal_mode",
    "journal_size_limit",
    "legacy_alter_table",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "query_only",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "secure_delete",
    "synchronous",
    "temp_store",
    "threads",
    "trusted_schema",
    "wal_autocheckpoint",
    "writable_schema",
];

/// Returns why a text is refused at a place, if it is.
pub(super) fn refusal(sql: &str, place: Place, options: &SqliteConnectOptions) -> Option<String> {
    let mut tokens = Tokens::new(sql, QUOTES);
    let mut is_first = true;
    while let Some(token) = tokens.next() {
        if is_first && token.is_word("PRAGMA") {
            let pragma = Pragma::read(&mut tokens.clone());
            if let Some(why) = pragma.and_then(|pragma| pragma.refusal(place, options)) {
                return Some(why);
            }
        }
        let attaches = token.is_word("ATTACH") || token.is_word("DETACH");
        if is_first && attaches && place == Place::AnySession {
            return Some(reaches_one_session(
                &token.text().to_ascii_uppercase(),
                "attach",
            ));
        }
        // A `;` is followed by the first word of a statement, or by another `;`.
        is_first = token == Token::Sign(';');
    }
    None
}

/// Returns whether [`refusal`] has to read the text: its first word says so, or it has several
/// statements. This keeps the cost of ordinary statements low.
pub(super) fn has_to_be_read(sql: &str, keyword: &str) -> bool {
    let is = |word| keyword.eq_ignore_ascii_case(word);
    let end = sql.as_bytes().iter().position(|byte| *byte == b';');
    let more = |end: usize| sql.as_bytes()[end..].iter().any(u8::is_ascii_alphabetic);
    is("PRAGMA") || is("ATTACH") || is("DETACH") || end.is_some_and(more)
}

/// `PRAGMA schema.name = value`, or `PRAGMA schema.name(value)`, or `PRAGMA schema.name`. The
/// schema may be missing.
struct Pragma<'a> {
    /// The setting, as it is written.
    name: &'a str,
    /// The value that is set; `None` if it only reads.
    value: Option<&'a str>,
}

impl<'a> Pragma<'a> {
    /// Reads what follows the keyword; `None` if the text ends before the name.
    fn read(tokens: &mut Tokens<'a>) -> Option<Self> {
        let mut name = tokens.next()?.text();
        let mut next = tokens.next();
        if next == Some(Token::Sign('.')) {
            name = tokens.next()?.text();
            next = tokens.next();
        }
        let value = match next {
            Some(Token::Sign('=' | '(')) => tokens.next().map(Token::text),
            _ => None,
        };
        Some(Self { name, value })
    }

    /// Returns whether this is its name.
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Returns whether one of these is its name.
    fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.is(name))
    }

    /// Returns whether it sets this value.
    fn sets(&self, value: &str) -> bool {
        self.value.is_some_and(|is| is.eq_ignore_ascii_case(value))
    }

    /// Returns why it is refused at a place, if it is.
    fn refusal(&self, place: Place, options: &SqliteConnectOptions) -> Option<String> {
        let name = self.name.to_ascii_lowercase();
        if place == Place::Transaction && self.is("wal_checkpoint") {
            return Some(format!(
                "`PRAGMA {name}` was refused: there is no checkpoint inside of a transaction; \
                 run it outside, through `&Db`"
            ));
        }
        self.value?;
        if self.is("journal_mode") && self.sets("OFF") {
            return Some(format!(
                "`PRAGMA {name} = OFF` was refused: without a journal no scope can be rolled back \
                 on this session; if that is meant, set it in the connect options \
                 (`.journal_mode(SqliteJournalMode::Off)`)"
            ));
        }
        match place {
            _ if self.sets_foreign_keys_as_opened(options) => None,
            Place::Transaction => self.refusal_inside(&name),
            Place::AnySession => self.refusal_of_one(&name),
            Place::Session => None,
        }
    }

    /// Returns why a value is refused inside of a transaction, if it is.
    fn refusal_inside(&self, name: &str) -> Option<String> {
        let why = match name {
            "query_only" => {
                "it would undo, or outlive, the `read_only` of a scope: mark the scope \
                 `read_only` instead"
            }
            "locking_mode" => {
                "the lock would outlive the scope, and keep all other sessions out: set it in the \
                 connect options (`.locking_mode(…)`)"
            }
            "synchronous" => {
                "it cannot be changed inside of a transaction: set it in the connect options \
                 (`.synchronous(…)`), or on a `Session`"
            }
            "foreign_keys" => {
                "inside of a transaction SQLite ignores it without a word. For one migration: make \
                 its first line `-- no-transaction`, and begin and commit in its own SQL. For \
                 scopes: give them a `Db` whose connect options say `.foreign_keys(…)`. By hand: \
                 a `Session`, which is in no transaction. Inside of one, \
                 `PRAGMA defer_foreign_keys = ON` puts the checks off until the commit"
            }
            _ if self.is_one_of(IGNORED_INSIDE) => {
                "inside of a transaction SQLite ignores it without a word: set it in the connect \
                 options, or outside of the transaction, on a `Session`; for one migration, make \
                 its first line `-- no-transaction`"
            }
            _ => return None,
        };
        Some(format!("`PRAGMA {name}` was refused: {why}"))
    }

    /// Returns why a value is refused on whichever session is free, if it is.
    fn refusal_of_one(&self, name: &str) -> Option<String> {
        // These two journal modes are kept in the file, for all sessions.
        let is_kept = self.is("journal_mode") && (self.sets("WAL") || self.sets("DELETE"));
        (self.is_one_of(OF_A_SESSION) && !is_kept)
            .then(|| reaches_one_session(&format!("PRAGMA {name}"), "set it"))
    }

    /// Returns whether it turns foreign keys on where every session was opened with them.
    fn sets_foreign_keys_as_opened(&self, options: &SqliteConnectOptions) -> bool {
        self.is("foreign_keys") && self.value.is_some_and(is_true) && has_foreign_keys(options)
    }
}

/// Returns whether sessions are opened with foreign keys enforced.
pub(super) fn has_foreign_keys(options: &SqliteConnectOptions) -> bool {
    format!("{options:?}").contains(r#""foreign_keys": Some("ON")"#)
}

/// Returns whether SQLite takes a value for true.
fn is_true(value: &str) -> bool {
    let digits = value.split(|c: char| !c.is_ascii_digit()).next();
    let number = digits.and_then(|digits| digits.parse::<u64>().ok());
    let words = ["on", "true", "yes"];
    number.is_some_and(|number| number != 0)
        || words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// The error for something that would reach one session of many.
fn reaches_one_session(what: &str, verb: &str) -> String {
    format!(
        "`{what}` was refused: through `&Db` it reaches one session, and not the others; {verb} in \
         `DbBuilder::after_connect`, which is run on each of them, or for a time on a `Session`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(sql: &str, place: Place) -> bool {
        let options = SqliteConnectOptions::new();
        let no_letter = |c: char| !c.is_ascii_alphabetic();
        let keyword = sql.trim_start_matches([' ', ';']).split(no_letter).next();
        let refused = refusal(sql, place, &options).is_some();
        let looked_at = has_to_be_read(sql, keyword.unwrap_or_default());
        assert!(looked_at || !refused, "{sql}");
        refused
    }

    #[test]
    fn a_setting_that_a_transaction_ignores_is_known_however_it_is_written() {
        for sql in [
            "PRAGMA foreign_keys = OFF",
            "pragma FOREIGN_KEYS=0",
            "PRAGMA foreign_keys(no)",
            "PRAGMA main.foreign_keys = 'false'",
            "PRAGMA \"main\" . [foreign_keys] = off ;",
            "PRAGMA `foreign_keys` ( \"0\" )",
            "PRAGMA/**/foreign_keys/* = 1 */=-- ON\n OFF",
            "PRAGMA foreign_keys = nonsense",
            "PRAGMA foreign_keys = -1",
            "SELECT 1; PRAGMA foreign_keys = OFF",
            "INSERT INTO t VALUES ('it''s;'); -- then\n;; PRAGMA foreign_keys = OFF; DROP TABLE t",
            "PRAGMA foreign_keys; PRAGMA foreign_keys = OFF",
            "PRAGMA journal_mode = WAL",
            "PRAGMA journal_mode = MEMORY",
            "PRAGMA auto_vacuum = FULL",
            "PRAGMA page_size = 8192",
            "PRAGMA encoding = 'UTF-16'",
            "PRAGMA synchronous = OFF",
            "PRAGMA query_only = 0",
            "PRAGMA locking_mode = EXCLUSIVE",
            "PRAGMA wal_checkpoint",
            "PRAGMA wal_checkpoint(TRUNCATE)",
        ] {
            assert!(refused(sql, Place::Transaction), "{sql}");
        }
    }

    #[test]
    fn what_does_as_it_says_is_no_matter() {
        for sql in [
            "PRAGMA foreign_keys",
            "PRAGMA main.foreign_keys;",
            "PRAGMA foreign_keys = ON",
            "PRAGMA foreign_keys = 1; SELECT 1",
            "PRAGMA foreign_keys(YES)",
            "PRAGMA defer_foreign_keys = ON",
            "PRAGMA foreign_key_check",
            "PRAGMA foreign_key_list(t)",
            "PRAGMA table_info(journal_mode)",
            "PRAGMA user_version = 7",
            "PRAGMA cache_size = 99",
            "PRAGMA journal_mode",
            "SELECT 'a'; SELECT '; PRAGMA foreign_keys = OFF'",
            "SELECT 1 -- ; PRAGMA foreign_keys = OFF",
            "SELECT 1 /* ; PRAGMA foreign_keys = OFF */; SELECT 2",
            "EXPLAIN PRAGMA foreign_keys = OFF",
            "INSERT INTO pragma VALUES (1); SELECT pragma FROM pragma",
            "PRAGMA",
            "PRAGMA main.",
            "PRAGMA foreign_keys =",
            "ATTACH 'a.db' AS a",
        ] {
            assert!(!refused(sql, Place::Transaction), "{sql}");
        }
    }

    #[test]
    fn what_would_reach_one_session_of_many_is_known() {
        for (sql, expected) in [
            ("PRAGMA foreign_keys = OFF", true),
            ("PRAGMA foreign_keys = ON", false),
            ("PRAGMA synchronous = NORMAL", true),
            ("SELECT 1; PRAGMA cache_size(7)", true),
            ("PRAGMA busy_timeout", false),
            ("PRAGMA journal_mode = wal", false),
            ("PRAGMA journal_mode = DELETE", false),
            ("PRAGMA journal_mode = MEMORY", true),
            ("PRAGMA user_version = 7", false),
            ("PRAGMA wal_checkpoint(TRUNCATE)", false),
            ("PRAGMA optimize", false),
            ("attach 'a.db' AS a", true),
            ("DETACH a", true),
            ("SELECT 1; ATTACH 'a.db' AS a", true),
            ("SELECT attach FROM t", false),
        ] {
            assert_eq!(refused(sql, Place::AnySession), expected, "{sql}");
        }
    }

    #[test]
    fn a_session_of_ones_own_may_do_all_but_lose_its_journal() {
        for (sql, expected) in [
            ("PRAGMA foreign_keys = OFF", false),
            ("PRAGMA journal_mode = TRUNCATE", false),
            ("ATTACH 'a.db' AS a", false),
            ("PRAGMA journal_mode = off", true),
            ("PRAGMA main.journal_mode('OFF')", true),
        ] {
            assert_eq!(refused(sql, Place::Session), expected, "{sql}");
        }
    }
}
