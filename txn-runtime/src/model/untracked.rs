//! What may have changed the state of a session where the runtime does not see it.

use std::fmt;

/// Something that ran on a session and may have begun, ended or committed a transaction.
///
/// It is noted before it runs. From then on the session is looked at before the runtime relies on
/// its state: before the next statement of a scope, before the scope ends, and before the session
/// goes back to the pool.
#[derive(Clone, Debug)]
pub(crate) struct Untracked {
    by: By,
    /// Its text says that it does end or begin a transaction.
    pub(crate) ends: bool,
}

/// What a statement may do to the transaction that it runs in, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It stays inside.
    Inside,
    /// It may end the transaction, or leave one open: what it runs is not to be seen.
    MayEnd,
    /// One of its statements begins, ends or commits a transaction.
    Ends,
}

#[derive(Clone, Debug)]
enum By {
    RawConnection,
    Statement(String),
}

/// So much of a statement stands in messages.
const EXCERPT: usize = 60;

impl Untracked {
    pub(crate) fn raw_connection() -> Self {
        Self::new(By::RawConnection, false)
    }

    /// `None` for a statement that stays inside of its transaction.
    pub(crate) fn statement(sql: &str, reach: Reach) -> Option<Self> {
        let ends = match reach {
            Reach::Inside => return None,
            Reach::MayEnd => false,
            Reach::Ends => true,
        };
        let mut text: String = sql.trim().chars().take(EXCERPT).collect();
        if text.len() < sql.trim().len() {
            text.push('…');
        }
        Some(Self::new(By::Statement(text), ends))
    }

    /// Something before it ends or begins a transaction, too.
    pub(crate) fn and_ends(self, before: bool) -> Self {
        Self {
            ends: self.ends || before,
            ..self
        }
    }

    fn new(by: By, ends: bool) -> Self {
        Self { by, ends }
    }
}

impl fmt::Display for Untracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            By::RawConnection => f.write_str("the code that had the raw connection"),
            By::Statement(sql) => write!(f, "`{sql}`"),
        }
    }
}
