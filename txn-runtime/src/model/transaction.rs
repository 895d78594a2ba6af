//! What is known of a transaction's state, and of the connection that it is on.

use crate::model::error::Cause;
use crate::model::unsure::Unsure;

/// What a failed statement did to the transaction that it ran in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The transaction goes on as if the statement had not been sent.
    None,
    /// The engine refuses everything until a rollback.
    Failed,
    /// The engine has rolled the whole transaction back: what follows would autocommit.
    Gone,
    /// The engine may have; [`Engine::in_transaction`] tells.
    Doubt,
}

/// What a transaction has set on its session, to be unset when it ends.
#[derive(Clone, Copy, Debug, Default)]
#[allow(dead_code, reason = "each engine looks at what it has set itself")]
pub struct Access {
    pub(crate) read_only: bool,
    pub(crate) limited: bool,
}

/// How far a connection is from the end of its last protocol exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The last exchange was completed.
    Idle,
    /// It was too, and has shown that what the connection remembers of the schema is out of date: that is to be forgotten.
    Stale,
    /// A row stream was dropped between two rows.
    Partial,
    /// An operation was dropped while its answer was outstanding.
    Busy,
    /// The connection is of no more use.
    Broken,
}

/// What is known of the transaction's state on the server.
#[derive(Debug)]
pub(crate) enum Health {
    Active,
    /// A statement failed, and the engine may have rolled everything back.
    Doubt(Cause),
    /// Refuses everything until a rollback, at least to the innermost savepoint.
    Failed(Cause),
    /// The server has rolled the transaction back by itself; what follows would autocommit.
    Gone(Cause),
    /// What ran in the transaction has ended it, and may have committed a part of it; what
    /// follows would autocommit.
    Ended(Box<Unsure>),
}

impl Health {
    /// It only ever gets worse by this.
    pub(crate) fn after(&mut self, effect: Effect, cause: impl FnOnce() -> Cause) {
        match (&self, effect) {
            (Self::Ended(_) | Self::Gone(_), _) | (_, Effect::None) => {}
            (_, Effect::Gone) => *self = Self::Gone(cause()),
            (Self::Failed(_), _) => {}
            (_, Effect::Failed) => *self = Self::Failed(cause()),
            (Self::Doubt(_), Effect::Doubt) => {}
            (Self::Active, Effect::Doubt) => *self = Self::Doubt(cause()),
        }
    }

    /// A savepoint is not there because the statement that failed before had taken the whole transaction with it: that
    /// statement is the cause, and not this answer of the server's.
    pub(crate) fn confirms_doubt(&mut self, answer: &sqlx::Error) -> bool {
        let cause = match (&*self, answer) {
            (Self::Doubt(cause), sqlx::Error::Database(_)) => cause.clone(),
            _ => return false,
        };
        *self = Self::Gone(cause);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_only_gets_worse_and_keeps_its_first_cause() {
        let mut health = Health::Active;
        health.after(Effect::None, || Cause::new("nothing"));
        assert!(matches!(health, Health::Active));
        health.after(Effect::Doubt, || Cause::new("first"));
        health.after(Effect::Failed, || Cause::new("second"));
        health.after(Effect::Failed, || Cause::new("third"));
        health.after(Effect::Doubt, || Cause::new("fourth"));
        assert!(matches!(&health, Health::Failed(cause) if cause.to_string() == "second"));
        health.after(Effect::Gone, || Cause::new("fifth"));
        health.after(Effect::Failed, || Cause::new("sixth"));
        assert!(matches!(&health, Health::Gone(cause) if cause.to_string() == "fifth"));
    }
}
