//! What others get to see of the runtime: metrics, spans, and the list of open scopes.

pub(crate) mod metrics;
pub(crate) mod opening;
pub(crate) mod scopes;
pub(crate) mod trace;
