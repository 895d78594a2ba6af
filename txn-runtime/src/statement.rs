//! A statement of the user's on its way to the driver: looked at, and passed on, unchanged but for whether it stays prepared.

#[cfg(feature = "mysql")]
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::{Database, Execute, SqlStr};

mod tokens;

#[allow(
    unused_imports,
    reason = "not every engine looks at more than a keyword"
)]
pub(crate) use self::tokens::{Token, Tokens};
use crate::engine::{ConnectOptionsOf, Engine, Place};

/// What [`Execute`] gives only piece by piece, and the SQL only by value.
pub(crate) struct Statement<DB: Database> {
    sql: SqlStr,
    prepared: Option<DB::Statement>,
    arguments: Option<Result<Option<DB::Arguments>, BoxDynError>>,
    persistent: bool,
}

impl<DB: Engine> Statement<DB> {
    pub(crate) fn new<'q, E: Execute<'q, DB>>(mut query: E) -> Self {
        let prepared = query.statement().cloned();
        let arguments = Some(query.take_arguments());
        let persistent = query.persistent();
        let sql = query.sql();
        Self {
            prepared,
            arguments,
            persistent: persistent && DB::may_keep_prepared(sql.as_str()),
            sql,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.sql.as_str()
    }

    #[cfg(feature = "mysql")]
    pub(crate) fn sql(&self) -> &SqlStr {
        &self.sql
    }

    /// How many there are, where it is to be prepared.
    #[cfg(feature = "mysql")]
    pub(crate) fn binds(&self) -> Option<usize> {
        match &self.arguments {
            Some(Ok(Some(arguments))) => Some(arguments.len()),
            _ => None,
        }
    }
}

impl<DB: Database> Execute<'_, DB> for Statement<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        self.prepared.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        self.arguments.take().unwrap_or(Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// Statements that control a transaction, by their first keyword.
const CONTROL: &[&str] = &[
    "ABORT",
    "BEGIN",
    "COMMIT",
    "END",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
    "XA",
];

/// Why this statement may not be sent, if it may not.
pub(crate) fn refusal<DB: Engine>(sql: &str, in_transaction: bool) -> Option<String> {
    let keyword = first_keyword(sql);
    let is = |known: &&str| keyword.eq_ignore_ascii_case(known);
    let prepares_transaction = keyword.eq_ignore_ascii_case("PREPARE")
        && second_keyword(sql, keyword).eq_ignore_ascii_case("TRANSACTION");
    if prepares_transaction || CONTROL.iter().any(is) {
        return Some(format!(
            "`{keyword}` was refused: the transaction is controlled by its scope, not by SQL; return `Err` or call \
             `set_rollback_only` to roll back, use `nested` for a savepoint"
        ));
    }
    let temporary = || second_keyword(sql, keyword).eq_ignore_ascii_case("TEMPORARY");
    if in_transaction && DB::IMPLICIT_COMMITS.iter().any(is) && !temporary() {
        return Some(format!(
            "`{keyword}` was refused: on this engine it commits the transaction that it runs in; execute it outside, \
             through `&Db`"
        ));
    }
    None
}

/// Why this statement would not do what it says, at a place where it may be sent.
pub(crate) fn refusal_at<DB: Engine>(
    sql: &str,
    place: Place,
    options: &ConnectOptionsOf<DB>,
) -> Option<String> {
    DB::refusal(sql, first_keyword(sql), place, options)
}

/// Statements that change what a session has set, by their first keyword.
const SETS: &[&str] = &["DISCARD", "RESET", "SET"];

/// Whether a statement may change the limits of its session, where those have to be known. What a function does that it
/// calls is not seen.
pub(crate) fn sets_limits<DB: Engine>(sql: &str) -> bool {
    if DB::ASK_LIMITS.is_none() {
        return false;
    }
    let keyword = first_keyword(sql);
    let sets = SETS.iter().any(|known| keyword.eq_ignore_ascii_case(known));
    // `SELECT set_config('statement_timeout', …)`, and what stands further behind in a script.
    sets || sql.contains("_timeout")
}

/// Statements that only read, by their first keyword. `WITH` may write, `PRAGMA` is the user's affair.
const READS: &[&str] = &["EXPLAIN", "PRAGMA", "SELECT", "VALUES"];

/// Whether a statement may write.
pub(crate) fn may_write(sql: &str) -> bool {
    let keyword = first_keyword(sql);
    !READS
        .iter()
        .any(|known| keyword.eq_ignore_ascii_case(known))
}

/// Statements that write, by their first keyword.
const WRITES: &[&str] = &["DELETE", "INSERT", "LOAD", "MERGE", "REPLACE", "UPDATE"];

/// Whether a statement writes for certain.
pub(crate) fn writes(sql: &str) -> bool {
    let keyword = first_keyword(sql);
    WRITES
        .iter()
        .any(|known| keyword.eq_ignore_ascii_case(known))
}

fn second_keyword<'a>(sql: &'a str, first: &str) -> &'a str {
    let at = first.as_ptr() as usize - sql.as_ptr() as usize + first.len();
    first_keyword(&sql[at..])
}

/// The first word that is neither white space nor comment.
fn first_keyword(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == '(');
        rest = if rest.starts_with("--") || rest.starts_with('#') {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if rest.starts_with("/*") && !rest.starts_with("/*!") {
            rest.split_once("*/").map_or("", |(_, after)| after)
        } else {
            break;
        };
    }
    // MySQL executes what stands in /*! … */
    let rest = rest
        .strip_prefix("/*!")
        .unwrap_or(rest)
        .trim_start_matches(|c: char| c.is_ascii_digit() || c.is_whitespace());
    let end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(all(test, feature = "sqlite", feature = "mysql"))]
mod tests {
    use super::*;

    #[test]
    fn the_first_keyword_is_found_behind_white_space_and_comments() {
        for (sql, keyword) in [
            ("COMMIT", "COMMIT"),
            ("  \n\tcommit;", "commit"),
            ("-- now\nROLLBACK TO x", "ROLLBACK"),
            ("/* now */ /* or */BEGIN", "BEGIN"),
            ("# now\nEND", "END"),
            ("/*!40000 ALTER TABLE t */", "ALTER"),
            (";;(SELECT 1)", "SELECT"),
            ("", ""),
            ("-- only a comment", ""),
            ("/* open", ""),
        ] {
            assert_eq!(first_keyword(sql), keyword, "{sql}");
        }
    }

    #[test]
    fn transaction_control_is_refused_everywhere_and_ddl_where_it_commits() {
        let refused = |sql| {
            (
                refusal::<sqlx::Sqlite>(sql, true).is_some(),
                refusal::<sqlx::MySql>(sql, true).is_some(),
                refusal::<sqlx::MySql>(sql, false).is_some(),
            )
        };
        for (sql, expected) in [
            ("COMMIT", (true, true, true)),
            ("savepoint a", (true, true, true)),
            ("PREPARE TRANSACTION 'x'", (true, true, true)),
            ("PREPARE x AS SELECT 1", (false, false, false)),
            ("CREATE TABLE t (id INT)", (false, true, false)),
            ("CREATE TEMPORARY TABLE t (id INT)", (false, false, false)),
            ("INSERT INTO t VALUES (1)", (false, false, false)),
            ("ENDLESS", (false, false, false)),
            ("WITH x AS (SELECT 1) SELECT 1", (false, false, false)),
        ] {
            assert_eq!(refused(sql), expected, "{sql}");
        }
    }
}
