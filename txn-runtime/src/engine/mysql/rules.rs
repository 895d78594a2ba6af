//! Statements that do more than they say on MySQL and MariaDB.

use sqlx::mysql::MySql;

use crate::engine::statement::{QUOTES, Token, Tokens, is_one_of};
use crate::engine::{Resets, StatementRules};

/// The first keywords of statements that commit the transaction that they run in.
const IMPLICIT_COMMITS: &[&str] = &[
    "ALTER",
    "CACHE",
    "CHANGE",
    "CHECK",
    "FLUSH",
    "GRANT",
    "INSTALL",
    "LOCK",
    "OPTIMIZE",
    "RENAME",
    "REPAIR",
    "RESET",
    "REVOKE",
    "STOP",
    "TRUNCATE",
    "UNINSTALL",
    "UNLOCK",
];

impl StatementRules for MySql {
    /// <https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html>
    fn commits_implicitly(keyword: &str, following: &mut dyn Iterator<Item = &str>) -> bool {
        let is = |known: &[&str]| is_one_of(known, keyword);
        if is(&["CREATE", "DROP"]) {
            // OR REPLACE may come before TEMPORARY.
            return !following
                .take(3)
                .any(|word| is_one_of(&["TEMPORARY"], word));
        }
        let mut follows =
            |known: &[&str]| following.next().is_some_and(|word| is_one_of(known, word));
        is(IMPLICIT_COMMITS)
            // On MariaDB, ANALYZE followed by a query runs and explains it, and commits nothing.
            || is(&["ANALYZE"]) && follows(&["TABLE", "LOCAL", "NO"])
            || is(&["LOAD"]) && follows(&["INDEX"])
            || is(&["SET"]) && follows(&["PASSWORD"])
    }

    const RUNS_OTHERS: &'static [&'static str] = &[
        "CALL", "CASE", "EXECUTE", "FOR", "IF", "LOOP", "REPEAT", "WHILE",
    ];

    /// `BEGIN NOT ATOMIC` on MariaDB.
    fn is_block(keyword: &str, following: &mut dyn Iterator<Item = &str>) -> bool {
        let follows = following.next();
        keyword.eq_ignore_ascii_case("BEGIN")
            && follows.is_some_and(|word| is_one_of(&["NOT"], word))
    }

    /// `SET STATEMENT … FOR …` on MariaDB; an empty text if it is uncertain where the other
    /// statement begins.
    fn carried<'a>(sql: &'a str, keyword: &'a str) -> Option<&'a str> {
        if !keyword.eq_ignore_ascii_case("SET") {
            return None;
        }
        let set = &sql[keyword.as_ptr() as usize - sql.as_ptr() as usize..];
        let mut words = Tokens::new(set, QUOTES).filter(|token| matches!(token, Token::Word(_)));
        if !words.nth(1)?.is_word("STATEMENT") {
            return None;
        }
        let word = words
            .find(|word| word.is_word("FOR"))
            .map_or("", Token::text);
        let end = match word {
            "" => set.len(),
            word => word.as_ptr() as usize - set.as_ptr() as usize + word.len(),
        };
        Some(&set[end..])
    }

    /// Without autocommit, or with chained transactions, COMMIT would begin another transaction.
    const RELIES_ON: &'static [(&'static str, &'static [&'static str])] = &[
        ("autocommit", &["1", "ON", "TRUE"]),
        ("completion_type", &["0", "NO_CHAIN"]),
    ];
}

/// The driver does not offer `COM_RESET_CONNECTION`, and SQL has nothing like it. So a session that
/// has to be reset is closed.
impl Resets for MySql {
    const LEAVES: &'static [&'static str] = &[
        "BACKUP",
        "CALL",
        "DEALLOCATE",
        "DO",
        "EXECUTE",
        "FLUSH",
        "HANDLER",
        "LOCK",
        "UNLOCK",
        "USE",
    ];
    const HAS_VARIABLES: bool = true;
}
