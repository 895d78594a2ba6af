//! What a scope asks for when it opens, and what that means for the pool.

use std::num::NonZeroU64;

use tokio::time::Instant;

use crate::model::deadline::Deadline;
use crate::model::location::{Caller, Location};
use crate::model::options::Options;

/// A request to open a scope. All attempts at the scope share one request, and with it one
/// deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The arguments of the annotation.
    pub(crate) options: &'static Options,
    /// The call that began the scope by hand; `None` for an annotated function.
    pub(crate) caller: Option<Caller>,
    /// How many scopes the caller is in already.
    pub(crate) depth: u32,
    /// How many sessions the caller holds while this scope is open.
    pub(crate) held: u32,
    /// The session of the scope that this one is called in.
    pub(crate) outer: Option<NonZeroU64>,
    /// When the time of the scope is over. The time runs from when the request was made.
    pub(crate) deadline: Option<Deadline>,
}

impl Request {
    /// The request of an annotated function that is called outside of any scope.
    pub(crate) fn outside(options: &'static Options) -> Self {
        Self {
            options,
            caller: None,
            depth: 0,
            held: 0,
            outer: None,
            deadline: options.deadline(),
        }
    }

    /// The request of a scope that `caller` begins by hand, outside of any scope.
    pub(crate) fn by_hand(options: &'static Options, caller: Caller) -> Self {
        Self {
            caller: Some(caller),
            ..Self::outside(options)
        }
    }

    /// Returns what the pool has to know to give the scope a session.
    pub(crate) fn need(&self) -> Need {
        Need {
            scope: self.options.name,
            location: self
                .caller
                .map_or(self.options.location, |at| Some(at.into())),
            transaction: true,
            writes: !self.options.read_only,
            held: self.held,
            outer: self.outer,
        }
    }
}

/// The requirements of a caller that needs a session, as the pool and its listings see them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// The name of the scope, for messages.
    pub(crate) scope: &'static str,
    /// The place of the scope in the source.
    pub(crate) location: Option<Location>,
    /// The session is for a transaction, as opposed to autocommit mode.
    pub(crate) transaction: bool,
    /// The scope may write. On an engine with one writer it waits for its turn first.
    pub(crate) writes: bool,
    /// How many sessions the caller holds already, and keeps while it waits.
    pub(crate) held: u32,
    /// The session that the caller holds, if this one would be a second session beside it.
    pub(crate) outer: Option<NonZeroU64>,
}

impl Need {
    /// The need of a statement on the handle itself.
    pub(crate) const AUTOCOMMIT: Self = Self {
        scope: "a session in autocommit mode",
        location: None,
        transaction: false,
        writes: false,
        held: 0,
        outer: None,
    };

    /// Returns what decides whether it can be served. `one_writer` says that its engine allows one
    /// writer at a time.
    pub(crate) fn kind(&self, one_writer: bool) -> Kind {
        Kind {
            turn: one_writer && self.writes,
            second: self.held > 0,
        }
    }
}

/// A caller that waits for a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitingCaller {
    pub(crate) need: Need,
    /// Since when it waits.
    pub(crate) since: Instant,
}

impl WaitingCaller {
    /// The caller with this need, which begins to wait now.
    pub(crate) fn from_now(need: Need) -> Self {
        let since = Instant::now();
        Self { need, since }
    }
}

/// What decides whether a caller may have a session that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Kind {
    /// It needs the turn to write, of which there is one.
    pub(crate) turn: bool,
    /// It holds a session already, so that reserved places are open to it.
    pub(crate) second: bool,
}

impl Kind {
    /// Its place among the four kinds.
    pub(crate) fn index(self) -> usize {
        usize::from(self.turn) * 2 + usize::from(self.second)
    }
}

/// The name of a caller that waits for a session. The smaller its number, the longer it has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
}

/// What a caller waits for that has no session yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitStage {
    /// Its turn to write.
    Turn,
    /// The session that is being opened for it.
    Connection,
    /// A session that another caller holds.
    Session,
    /// To be polled: it was woken.
    Due,
}
