//! What an engine knows of statements that do more than they say.

use sqlx::Database;

use super::Dialect;
use crate::engine::ConnectOptionsOf;

/// The context that a statement is to run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Inside of a transaction.
    Transaction,
    /// In autocommit mode, on a session that its user holds.
    Session,
    /// In autocommit mode, on whichever session of the pool is free.
    AnySession,
}

/// The part of an [`Engine`](crate::engine::Engine) that is about statements of the user's.
pub trait StatementRules: Database {
    /// The rules by which a text of several statements is split.
    const DIALECT: Dialect = Dialect {
        dollar_quotes: false,
    };
    /// Returns whether a statement commits the transaction that it runs in, although its keyword
    /// does not say so; `following` are the words after the keyword.
    fn commits_implicitly(_keyword: &str, _following: &mut dyn Iterator<Item = &str>) -> bool {
        false
    }
    /// First keywords of statements that run others, which may end a transaction.
    const RUNS_OTHERS: &'static [&'static str] = &[];
    /// Returns whether a statement that begins like a BEGIN is a block of statements.
    fn is_block(_keyword: &str, _following: &mut dyn Iterator<Item = &str>) -> bool {
        false
    }
    /// The statement inside of one that only says how it is to run.
    fn carried<'a>(_sql: &'a str, _keyword: &'a str) -> Option<&'a str> {
        None
    }
    /// Settings of a session that the runtime relies on, each with the values that it may have.
    const RELIES_ON: &'static [(&'static str, &'static [&'static str])] = &[];
    /// Returns why a statement is refused at a place because it would not do what it says;
    /// transaction control is refused elsewhere. `keyword` is the first word of the statement.
    fn refusal(
        _sql: &str,
        _keyword: &str,
        _place: Place,
        _options: &ConnectOptionsOf<Self>,
    ) -> Option<String> {
        None
    }
}
