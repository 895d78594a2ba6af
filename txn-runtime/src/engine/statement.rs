//! A statement of the user on its way to the driver. It is looked at before it is sent, and passed
//! on unchanged, except that it may be kept from staying prepared.
//!
//! Nothing here parses SQL: the first words of each statement decide. If they leave a doubt about
//! what the statement may end or begin, the session is asked after it has run.

mod left;
mod query;
mod rules;
mod script;
mod tokens;

#[cfg(feature = "mysql")]
pub(crate) use self::left::QUOTES;
pub(crate) use self::left::leaves_something;
pub(crate) use self::query::Statement;
pub(crate) use self::rules::{Place, StatementRules};
pub(crate) use self::script::Dialect;
use self::script::statements;
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(crate) use self::tokens::{Token, Tokens};
use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::untracked::Reach;

/// The first keywords of statements that control a transaction.
const CONTROL: &[&str] = &[
    "ABORT",
    "BEGIN",
    "COMMIT",
    "END",
    "PREPARE",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
    "XA",
];

/// Looks at a statement before it is sent. Returns how far it reaches, or why it may not be sent.
pub(crate) fn check<DB: Engine>(
    sql: &str,
    place: Place,
    options: &ConnectOptionsOf<DB>,
) -> Result<Reach, String> {
    let keyword = first_keyword(sql);
    let carried = match DB::carried(sql, keyword) {
        Some(inside) if is_plain(inside) => Reach::Inside,
        Some(inside) => check::<DB>(inside, place, options)?.max(Reach::MayEnd),
        None => Reach::Inside,
    };
    let refusal =
        refusal::<DB>(sql, keyword, place).or_else(|| DB::refusal(sql, keyword, place, options));
    match refusal {
        Some(why) => Err(why),
        None => Ok(reach::<DB>(sql, keyword).max(carried)),
    }
}

/// Returns why the engine refuses this statement at a place, transaction control aside.
pub(crate) fn refusal_at<DB: Engine>(
    sql: &str,
    place: Place,
    options: &ConnectOptionsOf<DB>,
) -> Option<String> {
    DB::refusal(sql, first_keyword(sql), place, options)
}

/// The first keywords of statements that change the settings of a session.
const SETS: &[&str] = &["DISCARD", "RESET", "SET"];

/// Returns whether a statement may change the time limits of its session, on an engine that has to
/// know them. What a function does inside is not seen.
pub(crate) fn sets_limits<DB: Engine>(sql: &str) -> bool {
    if DB::ASK_LIMITS.is_none() {
        return false;
    }
    let keyword = first_keyword(sql);
    let sets = is_one_of(SETS, keyword);
    // `SELECT set_config('statement_timeout', …)`, and a SET further on in a script.
    sets || sql.contains("_timeout")
}

/// Returns why a statement is refused on every engine.
fn refusal<DB: Engine>(sql: &str, keyword: &str, place: Place) -> Option<String> {
    if is_one_of(CONTROL, keyword) {
        return refused_control::<DB>(sql, keyword, place);
    }
    if keyword.eq_ignore_ascii_case("SET")
        && let Some(setting) = relied_on::<DB>(sql)
    {
        return Some(format!(
            "`SET {setting}` was refused: the runtime relies on its value, and the next user of \
             the session would have it too; to commit several statements at once, begin a scope"
        ));
    }
    if place == Place::Transaction
        && DB::commits_implicitly(keyword, &mut words_after(sql, keyword))
    {
        return Some(format!(
            "`{keyword}` was refused: on this engine it commits the transaction that it runs in; \
             execute it outside, through `&Db`"
        ));
    }
    None
}

/// The setting to which a SET gives a value that the runtime cannot work with.
fn relied_on<DB: Engine>(sql: &str) -> Option<&'static str> {
    let mut tokens = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut tokens = tokens.by_ref().filter(|token| !token.is_empty()).peekable();
    while let Some(token) = tokens.next() {
        let relied = |(name, _): &&(&str, _)| token.eq_ignore_ascii_case(name);
        if let Some((name, values)) = DB::RELIES_ON.iter().find(relied)
            && !tokens.peek().is_some_and(|value| is_one_of(values, value))
        {
            return Some(name);
        }
    }
    None
}

/// Returns why a statement that controls a transaction is refused; `None` if its first keyword is
/// misleading, or if it is allowed at this place.
fn refused_control<DB: Engine>(sql: &str, keyword: &str, place: Place) -> Option<String> {
    // The two words after the keyword.
    let mut next = words_after(sql, keyword);
    let next = [next.next(), next.next()].map(Option::unwrap_or_default);
    let follows = |words: &[&str]| {
        let same = |(word, next): (&&str, &str)| next.eq_ignore_ascii_case(word);
        words.iter().zip(next).all(same)
    };
    let is = |known: &[&str]| is_one_of(known, keyword);
    let prepares_statement = is(&["PREPARE"]) && !follows(&["TRANSACTION"]);
    if prepares_statement || DB::is_block(keyword, &mut words_after(sql, keyword)) {
        return None;
    }
    let is_prepared = is(&["COMMIT", "ROLLBACK"]) && follows(&["PREPARED"])
        || is(&["XA"]) && is_one_of(&["COMMIT", "ROLLBACK", "RECOVER"], next[0]);
    match place {
        Place::Transaction if is_prepared => Some(format!(
            "`{keyword} {}` was refused: a prepared transaction cannot be ended inside of \
             another; execute it outside, through `&Db`",
            next[0]
        )),
        Place::Transaction => Some(format!(
            "`{keyword}` was refused: the transaction is controlled by its scope, not by SQL; \
             return `Err` or call `set_rollback_only` to roll back, use `nested` for a savepoint"
        )),
        // A script may have a BEGIN and a COMMIT of its own. The session is asked after it has run.
        Place::Session | Place::AnySession if is_prepared || is_script::<DB>(sql) => None,
        Place::Session | Place::AnySession => Some(format!(
            "`{keyword}` was refused: a session in autocommit mode has no transaction; begin one \
             with `db.begin()` or an annotated function, or send all of it as one script"
        )),
    }
}

/// Returns how far a statement, or a script, reaches beyond the transaction that it runs in.
fn reach<DB: Engine>(sql: &str, keyword: &str) -> Reach {
    let runs_others = runs_others::<DB>(sql, keyword);
    if !runs_others && !sql.contains(';') {
        return Reach::Inside;
    }
    let statements = statements(sql, DB::DIALECT);
    let is_one = statements.len() < 2;
    match () {
        // A `;` at the end, or inside of a literal.
        () if is_one && !runs_others => Reach::Inside,
        // What a block or a routine does is not known from its pieces.
        () if is_one || statements.iter().any(|one| has_body::<DB>(one)) => Reach::MayEnd,
        () if statements.iter().any(|one| controls::<DB>(one)) => Reach::Ends,
        () if is_unambiguous(sql) && statements.iter().all(|one| is_plain(one)) => Reach::Inside,
        () => Reach::MayEnd,
    }
}

/// Returns whether a text is split in the same way on every engine, whatever its settings.
fn is_unambiguous(sql: &str) -> bool {
    const AMBIGUOUS: &[&str] = &["\\", "$", "#", "--", "/*", "[", "\u{feff}"];
    !AMBIGUOUS.iter().any(|sign| sql.contains(sign))
}

/// Returns whether a statement only reads or writes rows.
fn is_plain(statement: &str) -> bool {
    const PLAIN: &[&str] = &[
        "DELETE", "INSERT", "MERGE", "REPLACE", "SELECT", "UPDATE", "VALUES", "WITH",
    ];
    is_one_of(PLAIN, first_keyword(statement))
}

/// Returns whether a text has several statements.
fn is_script<DB: Engine>(sql: &str) -> bool {
    statements(sql, DB::DIALECT).len() > 1
}

/// Returns whether a statement runs others that cannot be seen, or is a block of statements.
fn runs_others<DB: Engine>(sql: &str, keyword: &str) -> bool {
    is_one_of(DB::RUNS_OTHERS, keyword) || DB::is_block(keyword, &mut words_after(sql, keyword))
}

/// Returns whether a piece of a script belongs to a routine, a trigger or a block. Those have `;`
/// inside, so that an END among the pieces may end no transaction.
fn has_body<DB: Engine>(statement: &str) -> bool {
    let keyword = first_keyword(statement);
    is_one_of(&["ALTER", "CREATE", "DELIMITER"], keyword) || runs_others::<DB>(statement, keyword)
}

/// Returns whether a statement begins or ends a transaction. ROLLBACK TO and COMMIT PREPARED do
/// not.
fn controls<DB: Engine>(statement: &str) -> bool {
    /// The first keywords of such statements.
    const ENDS: &[&str] = &["ABORT", "BEGIN", "COMMIT", "END", "ROLLBACK", "START", "XA"];
    let keyword = first_keyword(statement);
    if DB::commits_implicitly(keyword, &mut words_after(statement, keyword)) {
        return true;
    }
    let mut stays =
        words_after(statement, keyword).map(|word| is_one_of(&["TO", "PREPARED"], word));
    is_one_of(ENDS, keyword) && !stays.any(|stays| stays)
}

/// Returns whether a word is one of these, in whatever case.
pub(crate) fn is_one_of(known: &[&str], word: &str) -> bool {
    known.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// The first keywords of statements that only read. `WITH` is missing, since it may write. `PRAGMA`
/// is among them: whether one writes is for the user to know.
const READS: &[&str] = &["EXPLAIN", "PRAGMA", "SELECT", "VALUES"];

/// Returns whether a statement may write.
pub(crate) fn may_write(sql: &str) -> bool {
    !is_one_of(READS, first_keyword(sql))
}

/// The first keywords of statements that write.
const WRITES: &[&str] = &["DELETE", "INSERT", "LOAD", "MERGE", "REPLACE", "UPDATE"];

/// Returns whether a statement certainly writes.
pub(crate) fn writes<DB: Engine>(sql: &str) -> bool {
    let keyword = first_keyword(sql);
    is_one_of(
        WRITES,
        DB::carried(sql, keyword).map_or(keyword, first_keyword),
    )
}

/// The words of `sql` that follow `word`, up to the first thing that is no word. `word` must be a
/// slice of `sql`: its address says where it ends.
fn words_after<'a>(sql: &'a str, word: &str) -> impl Iterator<Item = &'a str> {
    let mut rest = &sql[word.as_ptr() as usize - sql.as_ptr() as usize + word.len()..];
    std::iter::from_fn(move || {
        let word = first_keyword(rest);
        let begin = word.as_ptr() as usize - rest.as_ptr() as usize;
        rest = &rest[begin + word.len()..];
        (!word.is_empty()).then_some(word)
    })
}

/// The first word of a text, after white space, comments, `;` and `(`.
fn first_keyword(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        // SQLite takes a byte order mark for white space, wherever it stands.
        let is_skipped = |c: char| c.is_whitespace() || matches!(c, ';' | '(' | '\u{feff}');
        rest = rest.trim_start_matches(is_skipped);
        rest = if rest.starts_with("--") || rest.starts_with('#') {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if rest.starts_with("/*") && executed(rest).is_none() {
            rest.split_once("*/").map_or("", |(_, after)| after)
        } else {
            break;
        };
    }
    // What is executed may begin with a version.
    let rest = executed(rest)
        .unwrap_or(rest)
        .trim_start_matches(|c: char| c.is_ascii_digit() || c.is_whitespace());
    let end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    &rest[..end]
}

/// What follows the beginning of a comment that is executed: `/*! … */` on MySQL and MariaDB,
/// `/*M! … */` on MariaDB.
fn executed(text: &str) -> Option<&str> {
    text.strip_prefix("/*!")
        .or_else(|| text.strip_prefix("/*M!"))
}

#[cfg(all(test, feature = "sqlite", feature = "mysql"))]
mod tests {
    use sqlx::mysql::MySqlConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

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
            ("/*M!100000 COMMIT */", "COMMIT"),
            (";;(SELECT 1)", "SELECT"),
            ("\u{feff}COMMIT", "COMMIT"),
            ("", ""),
            ("-- only a comment", ""),
            ("/* open", ""),
        ] {
            assert_eq!(first_keyword(sql), keyword, "{sql}");
        }
    }

    #[test]
    fn transaction_control_is_refused_everywhere_and_ddl_where_it_commits() {
        use Place::{Session, Transaction};
        let (lite, my) = (SqliteConnectOptions::new(), MySqlConnectOptions::new());
        let refused = |sql| {
            (
                check::<sqlx::Sqlite>(sql, Transaction, &lite).is_err(),
                check::<sqlx::MySql>(sql, Transaction, &my).is_err(),
                check::<sqlx::MySql>(sql, Session, &my).is_err(),
            )
        };
        for (sql, expected) in [
            ("COMMIT", (true, true, true)),
            ("savepoint a", (true, true, true)),
            ("PREPARE TRANSACTION 'x'", (true, true, true)),
            ("PREPARE x AS SELECT 1", (false, false, false)),
            ("COMMIT PREPARED 'x'", (true, true, false)),
            ("XA COMMIT 'x'", (true, true, false)),
            ("XA START 'x'", (true, true, true)),
            ("BEGIN; SELECT 1; COMMIT", (true, true, false)),
            ("BEGIN;", (true, true, true)),
            ("BEGIN NOT ATOMIC SELECT 1; END", (true, false, false)),
            ("CREATE TABLE t (id INT)", (false, true, false)),
            ("CREATE TEMPORARY TABLE t (id INT)", (false, false, false)),
            ("CREATE OR REPLACE TABLE t (id INT)", (false, true, false)),
            (
                "CREATE OR REPLACE TEMPORARY TABLE t (id INT)",
                (false, false, false),
            ),
            ("DROP TEMPORARY TABLE t", (false, false, false)),
            ("ANALYZE TABLE t", (false, true, false)),
            ("ANALYZE SELECT 1", (false, false, false)),
            ("SET PASSWORD = 'x'", (false, true, false)),
            ("LOAD INDEX INTO CACHE t", (false, true, false)),
            ("LOAD DATA INFILE 'x' INTO TABLE t", (false, false, false)),
            ("SET autocommit = 0", (false, true, true)),
            ("set @@session.AUTOCOMMIT=off", (false, true, true)),
            (
                "SET time_zone = '+0:00', completion_type = 1",
                (false, true, true),
            ),
            (
                "SET STATEMENT max_statement_time = 1 FOR TRUNCATE t",
                (false, true, false),
            ),
            ("/*M! START TRANSACTION */", (true, true, true)),
            ("SET autocommit = 1", (false, false, false)),
            ("SET time_zone = '+0:00'", (false, false, false)),
            ("INSERT INTO t VALUES (1)", (false, false, false)),
            ("ENDLESS", (false, false, false)),
            ("WITH x AS (SELECT 1) SELECT 1", (false, false, false)),
        ] {
            assert_eq!(refused(sql), expected, "{sql}");
        }
    }

    #[test]
    fn how_far_a_statement_reaches_is_told_by_its_text() {
        use Reach::{Ends, Inside, MayEnd};
        let (lite, my) = (SqliteConnectOptions::new(), MySqlConnectOptions::new());
        for (sql, sqlite, mysql) in [
            ("SELECT 1", Inside, Inside),
            ("SELECT ';';", Inside, Inside),
            ("SELECT 1; SELECT 2", Inside, Inside),
            ("SELECT 1; SELECT 'it''s; so'", Inside, Inside),
            ("SELECT 1; SELECT '\\'", MayEnd, MayEnd),
            ("SELECT 1; SELECT 2 -- '", MayEnd, MayEnd),
            ("SELECT 1 # '\n; COMMIT", MayEnd, MayEnd),
            ("SELECT 1; EXPLAIN SELECT 2", MayEnd, MayEnd),
            (
                "SELECT 1; SELECT 1 AS [']; COMMIT; SELECT 2 AS [']",
                MayEnd,
                MayEnd,
            ),
            ("SELECT 1; \u{feff}COMMIT; SELECT 2", Ends, Ends),
            ("/*M! SET STATEMENT a = 1 FOR CALL p() */", Inside, MayEnd),
            ("SET STATEMENT a = '\\'' FOR CALL p()", Inside, MayEnd),
            ("SET STATEMENT a = ' FOR ' FOR CALL p()", Inside, MayEnd),
            ("SET STATEMENT a = 1 FOR SELECT 1", Inside, Inside),
            ("INSERT INTO t VALUES (1); COMMIT", Ends, Ends),
            ("SELECT 1; ROLLBACK TO a", MayEnd, MayEnd),
            ("SELECT 1; DROP TABLE t", MayEnd, Ends),
            ("CALL p()", Inside, MayEnd),
            ("EXECUTE IMMEDIATE 'COMMIT'", Inside, MayEnd),
            (
                "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END",
                MayEnd,
                MayEnd,
            ),
        ] {
            let lite = check::<sqlx::Sqlite>(sql, Place::Transaction, &lite).unwrap();
            assert_eq!(lite, sqlite, "{sql}");
            let my = check::<sqlx::MySql>(sql, Place::Session, &my).unwrap();
            assert_eq!(my, mysql, "{sql}");
        }
        let block = "BEGIN NOT ATOMIC SELECT 1; END";
        assert_eq!(
            check::<sqlx::MySql>(block, Place::Transaction, &my),
            Ok(MayEnd)
        );
    }
}
