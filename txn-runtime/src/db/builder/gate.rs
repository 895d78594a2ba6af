//! What the builder sets of the gate.

use std::time::Duration;

use super::DbBuilder;
use crate::engine::Engine;

/// # Under load, and without a server
impl<DB: Engine> DbBuilder<DB> {
    /// How long a caller should have to wait for a session at most. Default: `None`, nobody is refused early; a usual target is 50 ms.
    ///
    /// If for a whole [`queue_interval`](Self::queue_interval) nobody was served within the target, more comes in than the database
    /// can do. Then callers that have waited for twice the target are refused ([`Error::is_overloaded`](crate::Error::is_overloaded)),
    /// new ones too, until somebody is served within the target again. So the callers who are served are served quickly, instead of all
    /// waiting until the `acquire_timeout` is near; a herd that is gone within the interval is not refused at all. (This is
    /// `CoDel`, as Elixir's `DBConnection` has it.)
    ///
    /// Time spent on opening a connection is no such wait. Who holds a session and waits for another (`requires_new`) is never
    /// refused. On SQLite scopes that write wait for their turn, which is a queue of its own.
    ///
    /// It is for a service whose callers give up: an answer that comes late is of no use to them. A batch job asks for everything at once
    /// and does not mind to wait, and so do most programs that nobody waits for. The guide says
    /// [when to turn it on](https://docs.rs/txn-rs/latest/txn/guide/operations/index.html#when-to-refuse-early).
    pub fn queue_target(mut self, target: impl Into<Option<Duration>>) -> Self {
        self.0.gate.target = target.into();
        self
    }

    /// How long callers must have waited in vain before some are refused. Default: 2 s. See [`queue_target`](Self::queue_target).
    pub fn queue_interval(mut self, interval: Duration) -> Self {
        self.0.gate.interval = interval;
        self
    }

    /// How many callers may wait for a session; one more is refused at once
    /// ([`Error::is_overloaded`](crate::Error::is_overloaded)). Default: as many as come.
    ///
    /// A bound for what waiting callers hold: memory, connections of their own clients. Who holds a session already does not count, and is
    /// not refused; nor is who need not wait.
    pub fn max_waiting(mut self, callers: impl Into<Option<usize>>) -> Self {
        self.0.gate.max_waiting = callers.into();
        self
    }

    /// How long the server may be out of reach before callers fail at once
    /// ([`Error::is_unavailable`](crate::Error::is_unavailable)). Default: 5 s; `None`: every caller tries.
    ///
    /// For that time, and for three attempts at least, each caller that needs a new connection tries to open one, and has its own error.
    /// Then the breaker opens: one caller at a time tries, with pauses between, drawn evenly from nothing to 50 ms, then 100 ms, at most
    /// 1 s. The first connection closes it, and so does any answer of the server: a refused password, "too many connections",
    /// "starting up". Sessions that are alive work all the time. [`Status::breaker`](crate::Status::breaker) shows it.
    pub fn breaker_after(mut self, unreachable: impl Into<Option<Duration>>) -> Self {
        self.0.gate.breaker = unreachable.into();
        self
    }

    /// How long [`Db::check`](crate::Db::check) takes at most. Default: 2 s.
    ///
    /// Less than whoever asks waits for an answer: for a probe of Kubernetes that is 1 s, unless it says `timeoutSeconds`.
    pub fn check_timeout(mut self, limit: Duration) -> Self {
        self.0.gate.check = limit;
        self
    }
}
