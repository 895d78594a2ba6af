//! The open scopes of a `Db`, for the operator who asks what holds, what waits, and why.
//!
//! What goes on in a session is noted in its [`Activity`], which is made once per connection: a scope allocates nothing for it,
//! a statement costs a few relaxed stores. Who has no session, because he waits for one or has given it back, is in a list of
//! its own.

mod activity;
mod registry;
mod sessionless;
mod waits;

pub(crate) use self::activity::{Activity, Busy, Holding, Registered};
pub(crate) use self::registry::{Scopes, Seen};
pub(crate) use self::sessionless::{EndedScope, WaitProgress};
pub(crate) use self::waits::for_sessions;
