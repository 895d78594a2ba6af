//! Whether a text of SQL may leave something on its session beyond the transaction that it runs in.
//!
//! If that is uncertain, the answer is yes: to reset a session for nothing costs a round trip in
//! the background.

use super::is_one_of;
use super::tokens::{Token, Tokens};
use crate::engine::Engine;

/// The opening and closing quotes of literals and names.
pub(crate) const QUOTES: &[(char, char)] = &[('\'', '\''), ('"', '"'), ('`', '`')];

/// Functions that leave something on the session, on any of the engines.
const LASTING: &[&str] = &[
    "dblink_connect",
    "get_lock",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "set_config",
];

/// Returns whether one of the statements of this text may leave something.
pub(crate) fn leaves_something<DB: Engine>(sql: &str) -> bool {
    // MySQL executes what stands in such a comment, and the tokens skip it.
    if DB::HAS_VARIABLES && (sql.contains("/*!") || sql.contains("/*M!")) {
        return true;
    }
    let mut statement = Seen::default();
    for token in Tokens::new(sql, QUOTES) {
        match token {
            Token::Sign(';') => statement = Seen::default(),
            token if statement.leaves_something::<DB>(token) => return true,
            _ => {}
        }
    }
    false
}

/// The part of a statement that was read so far.
#[derive(Default)]
struct Seen<'a> {
    /// The first word.
    first: Option<&'a str>,
    /// How many words were read.
    words: usize,
    /// The token before was a single `@`.
    is_variable: bool,
}

impl<'a> Seen<'a> {
    /// Reads the next token. Returns whether the statement may leave something.
    fn leaves_something<DB: Engine>(&mut self, token: Token<'a>) -> bool {
        match token {
            Token::Sign('@') => self.is_variable = !self.is_variable,
            Token::Sign('=' | '(') => return self.is("PRAGMA"),
            Token::Word(word) => {
                // `@x` is a variable, `@@x` a setting that is read.
                let is_variable = std::mem::take(&mut self.is_variable);
                return (is_variable && DB::HAS_VARIABLES) || self.reads::<DB>(word);
            }
            _ => {}
        }
        false
    }

    /// Reads the next word. Returns whether the statement may leave something.
    fn reads<DB: Engine>(&mut self, word: &'a str) -> bool {
        self.words += 1;
        self.first.get_or_insert(word);
        match self.words {
            1 => is_one_of(DB::LEAVES, word),
            2 if self.is("SET") => !is_one_of(DB::PASSES, word),
            2 if self.is("PREPARE") => !is_one_of(&["TRANSACTION"], word),
            _ if is_one_of(LASTING, word) => true,
            _ => self.makes_tables() && is_one_of(&["TEMP", "TEMPORARY"], word),
        }
    }

    /// Returns whether the statement may create a table or a view.
    fn makes_tables(&self) -> bool {
        self.is("CREATE") || self.is("SELECT") || self.is("WITH")
    }

    /// Returns whether this is the first word.
    fn is(&self, first: &str) -> bool {
        self.first.is_some_and(|is| is.eq_ignore_ascii_case(first))
    }
}

#[cfg(all(test, feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod tests {
    use sqlx::{MySql, Postgres, Sqlite};

    use super::*;

    /// Returns whether a text leaves something on PostgreSQL, on MySQL/MariaDB and on SQLite.
    fn leaves(sql: &str) -> (bool, bool, bool) {
        (
            leaves_something::<Postgres>(sql),
            leaves_something::<MySql>(sql),
            leaves_something::<Sqlite>(sql),
        )
    }

    #[test]
    fn what_may_stay_on_a_session_is_seen_wherever_it_stands() {
        for sql in [
            "SET search_path = a",
            "set role x",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "SELECT 1; SET x = 1",
            "-- first\n/* then */ SET x = 1",
            "CREATE TEMP TABLE t (id INT)",
            "CREATE OR REPLACE TEMPORARY TABLE t (id INT)",
            "create local temporary view v as select 1",
            "SELECT 1 AS a INTO TEMP t",
            "PREPARE p AS SELECT 1",
            "SELECT pg_advisory_lock(1)",
            "INSERT INTO t VALUES ((SELECT GET_LOCK('a', 1)))",
            "SELECT 'a;b', set_config('a', 'b', false)",
            "WITH l AS (SELECT pg_try_advisory_lock(7)) SELECT 1",
        ] {
            assert_eq!(leaves(sql), (true, true, true), "{sql}");
        }
    }

    #[test]
    fn what_each_engine_has_of_its_own_is_seen() {
        for (sql, expected) in [
            ("SET LOCAL x = 1", (false, true, true)),
            ("SET CONSTRAINTS ALL DEFERRED", (false, true, true)),
            ("LISTEN a", (true, false, false)),
            ("RESET ALL", (true, false, false)),
            ("DO $$ BEGIN END $$", (true, true, false)),
            ("CALL p()", (true, true, false)),
            (
                "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                (true, false, false),
            ),
            ("LOCK TABLES t WRITE", (false, true, false)),
            ("LOCK TABLE t", (false, true, false)),
            ("USE other", (false, true, false)),
            ("SELECT @x := 1", (false, true, false)),
            ("SELECT id INTO @x FROM t", (false, true, false)),
            ("SELECT @@version", (false, false, false)),
            ("/*!50000 SET x = 1 */", (false, true, false)),
            ("ATTACH 'a' AS a", (false, false, true)),
            ("PRAGMA cache_size = 99", (true, true, true)),
            ("PRAGMA cache_size", (false, false, false)),
        ] {
            assert_eq!(leaves(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_ends_with_its_statement_or_its_transaction_is_no_matter() {
        for sql in [
            "SELECT 1",
            "INSERT INTO t VALUES ('SET x'); UPDATE t SET n = 1",
            "UPDATE t SET temp = 1",
            "SELECT pg_advisory_xact_lock(1)",
            "CREATE TABLE t (id INT)",
            "DELETE FROM t -- ; SET x = 1",
            "PREPARE TRANSACTION 'a'",
            "",
        ] {
            assert_eq!(leaves(sql), (false, false, false), "{sql}");
        }
    }
}
