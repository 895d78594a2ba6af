//! What is counted and measured, through the facade of the crate `metrics`.
//!
//! Nothing here changes what the runtime does. States (sessions in use, callers that wait) are counted up and down by guards, so
//! that no path can forget the way down. Without the feature `metrics` everything here has no size and does nothing.

#[cfg(feature = "metrics")]
mod by_name;
#[cfg(all(test, feature = "metrics", feature = "sqlite"))]
mod cost;
#[cfg(feature = "metrics")]
mod describe;
#[cfg(not(feature = "metrics"))]
mod disabled;
#[cfg(feature = "metrics")]
mod family;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(feature = "metrics")]
mod scopes;
#[cfg(feature = "metrics")]
mod sessions;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::disabled::{Meter, PoolName, SessionTracker, Timer, Timestamp};
#[cfg(feature = "metrics")]
pub(crate) use self::{
    meter::{Meter, PoolName, Timestamp},
    scopes::Timer,
    sessions::SessionTracker,
};
