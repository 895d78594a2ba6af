//! What the runtime knows and decides, without asking anybody: no connection, no waiting.

pub(crate) mod conflicts;
pub(crate) mod deadline;
pub(crate) mod error;
pub(crate) mod labels;
pub(crate) mod location;
pub(crate) mod open_scope;
pub(crate) mod options;
pub(crate) mod outcome;
pub(crate) mod propagation;
pub(crate) mod request;
pub(crate) mod reset;
pub(crate) mod retry;
pub(crate) mod transaction;
pub(crate) mod untracked;
