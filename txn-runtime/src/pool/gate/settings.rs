//! What a `Db` is told of all this.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// `None`: nobody is refused early.
    pub(crate) target: Option<Duration>,
    pub(crate) interval: Duration,
    pub(crate) max_waiting: Option<usize>,
    /// `None`: every caller tries.
    pub(crate) breaker: Option<Duration>,
    pub(crate) check: Duration,
}

impl Settings {
    pub(crate) const DEFAULT: Self = Self {
        target: None,
        interval: Duration::from_secs(2),
        max_waiting: None,
        breaker: Some(Duration::from_secs(5)),
        check: Duration::from_secs(2),
    };
}
