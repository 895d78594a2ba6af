//! What may have changed the state of a session where the runtime does not see it.

use std::fmt;

use super::Session;
use crate::engine::Engine;
use crate::statement::Reach;

/// Something that ran on a session and may have begun, ended or committed a transaction.
///
/// It is noted before it runs. From then on the session is looked at before the runtime relies on
/// its state: before the next statement of a scope, before the scope ends, and before the session
/// goes back to the pool.
#[derive(Clone, Debug)]
pub(crate) struct Unsure {
    by: By,
    /// Its text says that it does end or begin a transaction.
    pub(crate) ends: bool,
    /// The session was looked at since. What else was changed on it is still to be restored.
    looked_at: bool,
}

#[derive(Clone, Debug)]
enum By {
    RawConnection,
    Statement(String),
}

/// So much of a statement stands in messages.
const EXCERPT: usize = 60;

impl Unsure {
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

    fn new(by: By, ends: bool) -> Self {
        Self {
            by,
            ends,
            looked_at: false,
        }
    }
}

impl fmt::Display for Unsure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            By::RawConnection => f.write_str("the code that had the raw connection"),
            By::Statement(sql) => write!(f, "`{sql}`"),
        }
    }
}

impl<DB: Engine> Session<DB> {
    /// Notes what is about to run. What was noted before goes on to count.
    pub(crate) fn suspect(&mut self, unsure: Unsure) {
        let ended = self.to_look_at().is_some_and(|before| before.ends);
        let ends = unsure.ends || ended;
        self.unsure = Some(Box::new(Unsure { ends, ..unsure }));
    }

    /// What has run since the session was last looked at, if it may have changed its state.
    #[inline(always)]
    pub(crate) fn to_look_at(&self) -> Option<&Unsure> {
        self.unsure.as_deref().filter(|unsure| !unsure.looked_at)
    }

    /// The session was looked at, and the runtime knows its state again. Tells what had run.
    ///
    /// Where more than its transaction may have been changed, that is still to be restored.
    pub(crate) fn is_looked_at(&mut self) -> Option<Box<Unsure>> {
        if DB::RESTORE.is_none() {
            return self.unsure.take();
        }
        let unsure = self.unsure.as_mut().filter(|unsure| !unsure.looked_at)?;
        let known = unsure.clone();
        unsure.looked_at = true;
        Some(known)
    }

    /// Something has run on it that may have changed more than its transaction.
    pub(crate) fn was_unsure(&self) -> bool {
        self.unsure.is_some()
    }

    /// Nothing is left of what has run.
    pub(crate) fn is_sure_again(&mut self) {
        self.unsure = None;
    }
}
