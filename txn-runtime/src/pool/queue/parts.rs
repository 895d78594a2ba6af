//! What the queue consists of, and what its callers get from it.

use std::collections::VecDeque;

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
pub(crate) enum Take<S, C> {
    /// It has a session.
    Served(Held, S),
    /// It has to wait, and if `opens` is true, to see to it that a session is opened.
    Waits { ticket: Ticket, opens: bool },
    /// As many wait already as may.
    Full,
    /// It would wait for itself: all sessions are held by callers that wait for another, which are
    /// these and itself.
    Starved(Vec<C>),
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
pub(crate) enum Step<S, E, W> {
    /// It waits no longer.
    Answered(Answer<S, E>),
    /// It is to see to it that a session is opened, and to ask again.
    Open,
    /// It is woken when there is more. The waker that was kept `before` is of no use any more.
    Waits { before: Option<W> },
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

/// What is of no use any more: the waker of one who has left, or an error that nobody waits for.
/// The owner drops it once it has let go of the lock, because its drop may run code of others.
#[derive(Debug)]
pub(crate) enum Unused<E, W> {
    Waker(W),
    Error(E),
}

impl<S, W> Due<S, W> {
    pub(super) const NOTHING: Self = Self {
        wake: [None, None, None, None],
        close: None,
    };
}

/// The state of a waiter that has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiting<W, C> {
    pub(super) caller: C,
    /// How many sessions the caller holds meanwhile.
    pub(super) holds: usize,
    /// How to wake it, once it was polled.
    pub(super) waker: Option<W>,
    /// It was told to have a session opened, and was not polled since.
    pub(super) opens: bool,
}

/// A waiter that has not fetched its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Answered<S, E, C> {
    pub(super) caller: C,
    pub(super) answer: Answer<S, E>,
}

/// The waiters of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Line<S, E, W, C> {
    pub(super) waiting: Numbered<Waiting<W, C>>,
    pub(super) answered: Numbered<Answered<S, E, C>>,
}

impl<S, E, W, C> Default for Line<S, E, W, C> {
    fn default() -> Self {
        Self {
            waiting: Numbered::default(),
            answered: Numbered::default(),
        }
    }
}

/// Values in the order of their numbers. Most come at the end and go at the front, which takes the
/// same time however many there are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Numbered<T>(VecDeque<(u64, T)>);

impl<T> Numbered<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(u64, T)> {
        self.0.iter()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Adds a value whose number is not in use.
    pub(super) fn insert(&mut self, number: u64, value: T) {
        match self.0.back() {
            Some((last, _)) if *last > number => {
                let at = self.0.partition_point(|(other, _)| *other < number);
                self.0.insert(at, (number, value));
            }
            _ => self.0.push_back((number, value)),
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&T> {
        let at = self.find(number)?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let at = self.find(number)?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let at = self.find(number)?;
        self.0.remove(at).map(|(_, value)| value)
    }

    fn find(&self, number: u64) -> Option<usize> {
        match self.0.front() {
            Some((first, _)) if *first == number => Some(0),
            _ => self.0.binary_search_by_key(&number, |(it, _)| *it).ok(),
        }
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}
