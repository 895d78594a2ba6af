//! The limits that a `Db` sets for its gate.

use std::time::Duration;

/// The settings of [`DbBuilder`](crate::DbBuilder) that concern waiting and connecting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The wait that is acceptable under load. `None` means that no caller is refused early.
    pub(crate) target: Option<Duration>,
    /// How long every wait must exceed `target` before callers are refused early.
    pub(crate) interval: Duration,
    /// How many callers may wait at a time.
    pub(crate) max_waiting: Option<usize>,
    /// How long the server must be unreachable before the breaker opens. `None` means never.
    pub(crate) breaker: Option<Duration>,
    /// The timeout of [`Db::check`](crate::Db::check).
    pub(crate) check: Duration,
}

impl Settings {
    /// The settings of a builder on which none of them was set.
    pub(crate) const DEFAULT: Self = Self {
        target: None,
        interval: Duration::from_secs(2),
        max_waiting: None,
        breaker: Some(Duration::from_secs(5)),
        check: Duration::from_secs(2),
    };
}
