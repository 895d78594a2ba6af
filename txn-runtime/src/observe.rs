//! What others get to see of the runtime: metrics, spans, and the list of open scopes. Nothing here
//! changes what the runtime does.

pub(crate) mod events;
pub(crate) mod kept;
mod log;
#[cfg(feature = "metrics")]
mod metrics;
pub(crate) mod scopes;
pub(crate) mod timer;
pub(crate) mod trace;
pub(crate) mod tracker;
