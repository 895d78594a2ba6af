//! Settings of the gate: whether callers are refused early, under load and without a server.

use std::time::Duration;

use super::DbBuilder;
use crate::engine::Engine;

/// # Under load, and without a server
impl<DB: Engine> DbBuilder<DB> {
    /// Sets how long a caller should wait for a session at most. Default: `None`, which refuses
    /// nobody early; a usual target is 50 ms.
    ///
    /// If nobody was served within the target for a whole [`queue_interval`](Self::queue_interval),
    /// more work comes in than the database can do. Then callers that have waited for twice the
    /// target are refused ([`Error::is_overloaded`](crate::Error::is_overloaded)), new ones too,
    /// until a caller is served within the target again. So the callers that are served are served
    /// quickly, instead of all of them waiting until the `acquire_timeout` is near. A burst that is
    /// over within the interval is not refused at all. (This is `CoDel`, in the variant of Elixir's
    /// `DBConnection`.)
    ///
    /// The time that is spent on opening a connection does not count as waiting. A caller that
    /// holds a session and waits for another (`requires_new`) is never refused. On SQLite, scopes
    /// that write wait for their turn in a queue of their own.
    ///
    /// The setting is meant for a service whose callers give up, so that a late answer is of no use
    /// to them. A batch job asks for everything at once and can wait, and so can most programs that
    /// nobody waits for. The guide says [when to turn it on][guide].
    ///
    /// [guide]: https://docs.rs/txn-rs/latest/txn/guide/operations/index.html#when-to-refuse-early
    pub fn queue_target(mut self, target: impl Into<Option<Duration>>) -> Self {
        self.0.gate.target = target.into();
        self
    }

    /// Sets how long callers must have waited longer than the target before some are refused.
    /// Default: 2 s. See [`queue_target`](Self::queue_target).
    pub fn queue_interval(mut self, interval: Duration) -> Self {
        self.0.gate.interval = interval;
        self
    }

    /// Sets how many callers may wait for a session. One more is refused at once
    /// ([`Error::is_overloaded`](crate::Error::is_overloaded)). Default: no limit.
    ///
    /// It limits what waiting callers hold: memory, and connections of their own clients. A caller
    /// that holds a session already does not count and is not refused, and neither is a caller that
    /// need not wait.
    pub fn max_waiting(mut self, callers: impl Into<Option<usize>>) -> Self {
        self.0.gate.max_waiting = callers.into();
        self
    }

    /// Sets how long the server may be out of reach before callers fail at once
    /// ([`Error::is_unavailable`](crate::Error::is_unavailable)). Default: 5 s. With `None`, every
    /// caller tries.
    ///
    /// Each caller that needs a new connection tries to open one for that time, and for three
    /// attempts at least, and gets its own error. Then the breaker opens: one caller at a time
    /// tries, with random pauses in between of up to 50 ms, then 100 ms, and at most 1 s. The first
    /// connection closes the breaker, and so does any answer of the server: a refused password,
    /// "too many connections", "starting up". Sessions that are alive work all the time.
    /// [`Status::breaker`](crate::Status::breaker) shows the state of the breaker.
    pub fn breaker_after(mut self, unreachable: impl Into<Option<Duration>>) -> Self {
        self.0.gate.breaker = unreachable.into();
        self
    }

    /// Sets how long [`Db::check`](crate::Db::check) takes at most. Default: 2 s.
    ///
    /// It should be less than the time that the client of the check waits for an answer. A probe of
    /// Kubernetes waits 1 s, unless it sets `timeoutSeconds`.
    pub fn check_timeout(mut self, limit: Duration) -> Self {
        self.0.gate.check = limit;
        self
    }
}
