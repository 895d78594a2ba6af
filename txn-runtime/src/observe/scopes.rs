//! The open scopes of a `Db`, for the operator who asks what holds, what waits, and why.
//!
//! A session notes what it is doing in its [`Activity`], which is made once per connection: a scope
//! allocates nothing for that, and a statement costs a few relaxed stores. Callers that wait for a
//! session, and scopes that have given theirs back and run hooks, are in a second list.
//!
//! [`Scopes::look`] reads both lists one after the other, without stopping anybody. What it returns
//! is therefore no consistent snapshot of all scopes at one moment, but every scope that is open
//! during the whole call is in it exactly once.

mod activity;
mod registry;
mod sessionless;
mod waits;

pub(crate) use self::activity::{Activity, Busy, Holding, Registered};
pub(crate) use self::registry::{Scopes, Seen};
pub(crate) use self::sessionless::{EndedScope, WaitProgress};
pub(crate) use self::waits::for_sessions;
