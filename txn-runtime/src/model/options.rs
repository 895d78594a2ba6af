//! What an annotation asks of its transaction.
//!
//! The macro builds [`Options`] in a `const` block, so that every scope has a `&'static Options`
//! and opening a scope copies nothing.

use std::fmt;
use std::time::Duration;

use crate::model::deadline::{Deadline, LONGEST};
use crate::model::location::Location;
use crate::model::retry::{Asked, Retry};

/// Isolation level of a transaction, in the words of the SQL standard.
///
/// What a level prevents depends on the engine: PostgreSQL runs `ReadUncommitted` as
/// `ReadCommitted`; SQLite only knows `Serializable` and refuses the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isolation {
    /// Sees what others have not committed yet.
    ReadUncommitted,
    /// Each statement sees what was committed before it began.
    ReadCommitted,
    /// The whole transaction sees one snapshot.
    RepeatableRead,
    /// As if transactions ran one after the other.
    Serializable,
}

impl Isolation {
    /// The level as it stands in `ISOLATION LEVEL …`.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(crate) const fn as_sql(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "READ UNCOMMITTED",
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadUncommitted => "read uncommitted",
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        })
    }
}

/// How an annotated function relates to the transaction that it may be called in. What that comes
/// to is in [`propagation`](crate::model::propagation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Propagation {
    /// Begin outside of a transaction, join inside.
    Required,
    /// Begin outside of a transaction, set a savepoint inside.
    Nested,
    /// Begin a transaction of its own. Inside of one, that needs a second session.
    RequiresNew,
    /// Join. The type of the parameter only admits callers that are in a transaction.
    Mandatory,
}

impl Propagation {
    /// The word of the annotation, for spans.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Nested => "nested",
            Self::RequiresNew => "requires_new",
            Self::Mandatory => "mandatory",
        }
    }
}

/// The arguments of one annotation.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The `name` of the annotation, or the path of the function.
    pub(crate) name: &'static str,
    /// The annotated function; `None` for a scope that is begun by hand.
    pub(crate) location: Option<Location>,
    /// The relation to a transaction that the caller is in.
    pub(crate) propagation: Propagation,
    /// The isolation level; `None` for the default of the server.
    pub(crate) isolation: Option<Isolation>,
    /// The transaction must not write.
    pub(crate) read_only: bool,
    /// The transaction may wait until it can run without conflicts.
    pub(crate) deferrable: bool,
    /// The time limit for the whole scope, at most [`LONGEST`].
    pub(crate) timeout: Option<Duration>,
    /// The retry policy that is asked for.
    pub(crate) retry: Asked,
}

impl Options {
    /// The options of a plain `#[transactional]` on the function `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            location: None,
            propagation: Propagation::Required,
            isolation: None,
            read_only: false,
            deferrable: false,
            timeout: None,
            retry: Asked::Never,
        }
    }

    /// Sets the place of the annotated function in the source.
    #[must_use]
    pub const fn at(mut self, file: &'static str, line: u32) -> Self {
        self.location = Some(Location::new(file, line));
        self
    }

    /// `nested`
    #[must_use]
    pub const fn nested(mut self) -> Self {
        self.propagation = Propagation::Nested;
        self
    }

    /// `requires_new`
    #[must_use]
    pub const fn requires_new(mut self) -> Self {
        self.propagation = Propagation::RequiresNew;
        self
    }

    /// `mandatory`
    #[must_use]
    pub const fn mandatory(mut self) -> Self {
        self.propagation = Propagation::Mandatory;
        self
    }

    /// `isolation = …`
    #[must_use]
    pub const fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// `read_only`
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// `deferrable`
    #[must_use]
    pub const fn deferrable(mut self) -> Self {
        self.deferrable = true;
        self
    }

    /// `timeout = …`
    #[must_use]
    pub const fn timeout_ms(mut self, millis: u64) -> Self {
        let limit = Duration::from_millis(millis);
        self.timeout = Some(match limit.as_secs() < LONGEST.as_secs() {
            true => limit,
            false => LONGEST,
        });
        self
    }

    /// The deadline of a scope that is asked for now.
    #[inline(always)]
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.timeout.map(Deadline::after)
    }

    /// `retry`
    #[must_use]
    pub const fn retry_by_default(mut self) -> Self {
        self.retry = Asked::ByDefault;
        self
    }

    /// `retry = …` and `retry(…)`
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = Asked::With(retry);
        self
    }

    /// The advice for the first of these options that the engine lacks; `None` if it has all.
    pub(crate) const fn refusal(&self, lacks: &Lacks) -> Option<&'static str> {
        if self.deferrable && lacks.deferrable.is_some() {
            return lacks.deferrable;
        }
        match self.isolation {
            None | Some(Isolation::Serializable) => None,
            Some(_) => lacks.weak_isolation,
        }
    }
}

/// The options of a transaction that is begun by hand, with
/// [`Db::begin_with`](crate::Db::begin_with).
#[derive(Clone, Copy, Debug)]
pub struct BeginOptions(pub(crate) Options);

impl BeginOptions {
    /// The defaults, under a name.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self(Options::new(name))
    }

    /// Sets the isolation level. Default: that of the server.
    ///
    /// SQLite is always serializable, and refuses the others.
    #[must_use]
    pub const fn isolation(self, level: Isolation) -> Self {
        Self(self.0.isolation(level))
    }

    /// Lets the server refuse to write. On SQLite the transaction then does not wait for its turn
    /// to write.
    #[must_use]
    pub const fn read_only(self) -> Self {
        Self(self.0.read_only())
    }

    /// Lets the transaction wait for a snapshot with which it cannot fail. Only PostgreSQL can do
    /// that, for a `read_only` transaction with [`Isolation::Serializable`].
    #[must_use]
    pub const fn deferrable(self) -> Self {
        Self(self.0.deferrable())
    }
}

/// The features that an engine lacks, each with the advice that the user gets.
#[derive(Clone, Copy, Debug)]
pub struct Lacks {
    /// `deferrable`.
    pub(crate) deferrable: Option<&'static str>,
    /// Any isolation level but `serializable`.
    pub(crate) weak_isolation: Option<&'static str>,
    /// A `requires_new` scope that writes, inside of another scope that writes.
    pub(crate) second_writer: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LACKS: Lacks = Lacks {
        deferrable: Some("no deferrable"),
        weak_isolation: Some("only serializable"),
        second_writer: None,
    };

    #[test]
    fn an_option_that_the_engine_lacks_is_refused_with_its_advice() {
        let plain = Options::new("f");
        assert_eq!(plain.refusal(&LACKS), None);
        assert_eq!(plain.deferrable().refusal(&LACKS), Some("no deferrable"));
        let weak = plain.isolation(Isolation::ReadCommitted);
        assert_eq!(weak.refusal(&LACKS), Some("only serializable"));
        let strong = plain.isolation(Isolation::Serializable);
        assert_eq!(strong.refusal(&LACKS), None);
    }
}
