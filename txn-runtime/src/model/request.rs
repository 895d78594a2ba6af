//! What is asked for when a scope opens.

use std::num::NonZeroU64;

use crate::model::deadline::Deadline;
use crate::model::location::{Caller, Location};
use crate::model::options::Options;

/// The same for all attempts at a scope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) options: &'static Options,
    /// Who began it by hand.
    pub(crate) caller: Option<Caller>,
    /// Of this scope, among those that its caller is in.
    pub(crate) depth: u32,
    /// Sessions that the caller holds while this one is open.
    pub(crate) held: u32,
    /// The session of the scope that this is called in.
    pub(crate) outer: Option<NonZeroU64>,
    pub(crate) deadline: Option<Deadline>,
}

impl Request {
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

    pub(crate) fn by_hand(options: &'static Options, caller: Caller) -> Self {
        Self {
            caller: Some(caller),
            ..Self::outside(options)
        }
    }

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

/// What a caller needs a session for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) scope: &'static str,
    pub(crate) location: Option<Location>,
    /// For a transaction, as opposed to autocommit mode.
    pub(crate) transaction: bool,
    /// It may write: where the engine has one writer, it waits for its turn first.
    pub(crate) writes: bool,
    /// Sessions that the caller holds already, and goes on to hold while it waits.
    pub(crate) held: u32,
    /// The one of these that this is for a second beside.
    pub(crate) outer: Option<NonZeroU64>,
}

impl Need {
    pub(crate) const AUTOCOMMIT: Self = Self {
        scope: "a session in autocommit mode",
        location: None,
        transaction: false,
        writes: false,
        held: 0,
        outer: None,
    };
}
