//! What may have changed the state of a session where the runtime does not see it.

use std::fmt;

/// Something that ran on a session and may have begun, ended or committed a transaction.
///
/// It is noted in the state of the session before it runs. From then on the session is asked
/// whether it is in a transaction before the runtime relies on that: before the next statement of a
/// scope, before the scope ends, and before the session goes back to the pool.
#[derive(Clone, Debug)]
pub(crate) struct Untracked {
    /// The code or the statement that ran.
    by: By,
    /// The text of the statement says that it does begin or end a transaction, and not only that
    /// it may.
    pub(crate) ends: bool,
}

/// The reach of a statement beyond the transaction that it runs in, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// It runs inside of the transaction and leaves it open.
    Inside,
    /// It runs others that cannot be seen (a procedure, a block), which may end the transaction or
    /// leave one open.
    MayEnd,
    /// One of its statements begins, ends or commits a transaction.
    Ends,
}

/// The origin of the change, as messages name it.
#[derive(Clone, Debug)]
enum By {
    /// The user had the raw connection of the driver.
    RawConnection,
    /// A statement, of which this is the beginning.
    Statement(String),
}

/// How many characters of a statement stand in messages.
const EXCERPT: usize = 60;

impl Untracked {
    /// The user gets the raw connection, and may do anything with it.
    pub(crate) fn raw_connection() -> Self {
        Self::new(By::RawConnection, false)
    }

    /// A statement that reaches beyond its transaction; `None` for one that stays inside.
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

    /// Adds that something before it begins or ends a transaction too, if it does.
    pub(crate) fn and_ends(self, before: bool) -> Self {
        Self {
            ends: self.ends || before,
            ..self
        }
    }

    /// Something that ran; see the fields.
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
