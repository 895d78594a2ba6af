//! What the queue consists of, and what its callers get from it.

use std::collections::BTreeMap;

use crate::model::request::{Kind, Ticket};

/// The right to the session that was handed out with it. It goes wherever the session goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "the place is taken until it is given back or lost"]
pub(crate) struct Held {
    pub(super) kind: Kind,
    /// A cleanup has the session.
    pub(super) settles: bool,
}

/// What a caller gets at once.
#[derive(Debug)]
pub(crate) enum Take<S> {
    /// It has a session.
    Served(Held, S),
    /// It has to wait, and if `opens` is true, to see to it that a session is opened.
    Waits { ticket: Ticket, opens: bool },
    /// As many wait already as may.
    Full,
    /// The queue is closed.
    Closed,
}

/// What a waiter gets in the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer<S, E> {
    /// It has a session.
    Served(Held, S),
    /// No session could be opened.
    Failed(E),
    /// The queue was closed.
    Closed,
}

/// The next step of a waiter.
#[derive(Debug)]
pub(crate) enum Step<S, E> {
    /// It waits no longer.
    Answered(Answer<S, E>),
    /// It is to see to it that a session is opened, and to ask again.
    Open,
}

/// What a change has led to. The owner does it once it has let go of the lock.
#[derive(Debug)]
#[must_use = "whoever is in it waits to be woken"]
pub(crate) struct Due<S, W> {
    /// Those who are to be woken: two at most have an answer, and two are to have a session opened.
    pub(crate) wake: [Option<W>; 4],
    /// The session is to be closed, because the queue was closed.
    pub(crate) close: Option<S>,
}

impl<S, W> Due<S, W> {
    pub(super) const NOTHING: Self = Self {
        wake: [None, None, None, None],
        close: None,
    };
}

/// The state of a waiter that has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiting<W> {
    /// How to wake it, once it was polled.
    pub(super) waker: Option<W>,
    /// It was told to have a session opened, and was not polled since.
    pub(super) opens: bool,
}

/// The waiters of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Line<S, E, W> {
    pub(super) waiting: BTreeMap<u64, Waiting<W>>,
    /// Those that have not fetched their answer.
    pub(super) answered: BTreeMap<u64, Answer<S, E>>,
}

impl<S, E, W> Default for Line<S, E, W> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            answered: BTreeMap::new(),
        }
    }
}
