//! What happens in a `Db`, and who is told of it.
//!
//! **An event** is a value of [`Event`], where each is declared once. It carries what is known when
//! it happens, and nothing that has to be found out for it. Whoever makes it happen tells
//! [`Events`]: `events.tell(Event::RolledBack { why })`. To search for its name finds all who tell
//! it and all who listen.
//!
//! What begins and is certain to end is a guard, so that no path can forget the end: a caller that
//! [waits](Waiting), a session from its opening to its closing
//! ([`SessionTracker`](super::tracker::SessionTracker)), a scope from the call to its end
//! ([`ScopeTimer`](super::timer::ScopeTimer)), a cleanup ([`Events::during`]). They tell the events
//! of their beginning, of their changes and of their drop.
//!
//! **Listeners** change nothing of what the runtime does:
//!
//! - the metrics, with the feature `metrics`: each row of `metrics/table.rs` names the events that
//!   move it;
//! - the log (`log.rs`): lines that are no more than a word for an event.
//!
//! A span and the registry of open scopes belong to one scope and to one session, not to the `Db`,
//! and show where it is rather than count what has happened. So they are told by who has them: the
//! [`Trace`](super::trace::Trace) of a scope goes with it from phase to phase, and tells its span
//! and its timer; an [`Activity`](super::scopes::Activity) is written by whoever has its session.
//!
//! **The cost.** [`Events::tell`] is inlined where the event is written down, so that of all tables
//! only the moves for that event are left; nothing is dispatched, and nothing is allocated. Without
//! the feature `metrics` only the log listens, and guards have no size (see [`Kept`]). A joined
//! scope tells nothing.
//!
//! **To add a metric** of what is an event already: a row in `metrics/table.rs`, and its row in
//! `src/metrics.md`, which a test asks for. **To add an event**: a variant here, and one line where
//! it happens.

use std::future::Future;
use std::time::{Duration, Instant as StdInstant};

use tokio::time::Instant;

use super::kept::{Kept, Timestamp};
use super::log;
#[cfg(feature = "metrics")]
use super::metrics::Metrics;
use super::timer::ScopeTimer;
use super::tracker::SessionTracker;
use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::error::Error;
use crate::model::labels::{
    CloseReason, HookKind, RejectionLabel, RollbackCause, ScopeKind, ScopeOutcome, ScopePhase,
    SettleOutcome,
};
use crate::model::options::Options;

/// What the user calls the pool, if anything.
pub(crate) type PoolName = Option<String>;

/// All that happens in a `Db`.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "metrics"),
    allow(
        dead_code,
        reason = "what only metrics listen to is read by nobody then"
    )
)]
pub(crate) enum Event {
    /// The `Db` was made.
    PoolMade {
        max_sessions: usize,
    },

    // A caller that asks for a session.
    /// It has to wait.
    WaitBegan,
    /// It waits no longer, for one reason or another.
    WaitEnded,
    /// It has a session, taken at that time. It could have waited for `limit`, until then.
    Served {
        taken: Timestamp,
        limit: Duration,
        until: Instant,
    },
    /// It got no session in time.
    WaitTimedOut,
    /// It was refused before its time was over.
    Rejected {
        why: RejectionLabel,
    },

    // A session.
    /// It was opened, which began at that time.
    SessionOpened {
        begun: Timestamp,
    },
    /// It was tried to open one, in vain.
    SessionRefused,
    /// It came out of the pool, to be used or to be closed.
    SessionLeftPool,
    SessionTaken,
    /// It is used no longer; it may be closed, or go back into the pool.
    SessionReleased {
        taken: StdInstant,
        now: StdInstant,
    },
    SessionEnteredPool,
    SessionClosed {
        why: CloseReason,
    },
    /// The breaker keeps callers from opening any.
    BreakerOpened {
        system: &'static str,
    },
    BreakerClosed {
        system: &'static str,
    },

    // A transaction.
    /// A BEGIN that was sent at that time was answered just now.
    BeginAnswered {
        sent: Timestamp,
    },
    CommitAnswered {
        sent: Timestamp,
        answered: Timestamp,
    },
    /// It is rolled back, or was by the server.
    RolledBack {
        why: RollbackCause,
    },
    /// Its scope was to commit when its caller was dropped, or was told that it is late, and has
    /// ended now.
    FinishedAfterDrop {
        how: ScopeOutcome,
    },
    HookFailed {
        which: HookKind,
    },

    // A cleanup.
    /// It may take as long as it likes from now on.
    CleanupBegan,
    /// It is done, or was given up.
    CleanupEnded,
    /// A session was settled, which began at that time.
    Settled {
        begun: Timestamp,
        how: SettleOutcome,
    },

    // A scope that has a transaction or a savepoint of its own.
    /// Another attempt begins.
    ScopeRetried {
        name: &'static str,
        kind: ScopeKind,
    },
    ScopeEnded {
        name: &'static str,
        kind: ScopeKind,
        how: ScopeOutcome,
        phase: ScopePhase,
        took: Duration,
        /// If there could have been more than one.
        attempts: Option<u32>,
    },
}

/// All who listen to one `Db`.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    #[cfg(feature = "metrics")]
    metrics: Metrics,
}

impl Events {
    #[cfg_attr(
        not(feature = "metrics"),
        allow(
            unused_variables,
            clippy::needless_pass_by_value,
            reason = "it is the metrics that have a name"
        )
    )]
    pub(crate) fn new<DB: Engine>(
        name: PoolName,
        options: &ConnectOptionsOf<DB>,
        max_sessions: usize,
    ) -> Self {
        let events = Self {
            #[cfg(feature = "metrics")]
            metrics: Metrics::new(name.unwrap_or_else(|| DB::address(options)), DB::SYSTEM),
        };
        events.tell(Event::PoolMade { max_sessions });
        events
    }

    #[inline(always)]
    pub(crate) fn tell(&self, event: Event) {
        #[cfg(feature = "metrics")]
        self.metrics.hear(event);
        log::hear(event);
    }

    /// Tells why a caller got no session, if it was the pool that let it wait or refused it.
    ///
    /// Without the feature `metrics` the error is not looked at: that alone would make every caller
    /// pay for a copy of what it got.
    #[inline(always)]
    pub(crate) fn tell_not_served(&self, error: &Error) {
        if cfg!(feature = "metrics") {
            self.not_served(error);
        }
    }

    fn not_served(&self, error: &Error) {
        if error.is_acquire_timeout() {
            self.tell(Event::WaitTimedOut);
        } else if error.is_overloaded() {
            let why = RejectionLabel::Overloaded;
            self.tell(Event::Rejected { why });
        } else if error.is_unavailable() {
            let why = RejectionLabel::Unavailable;
            self.tell(Event::Rejected { why });
        }
    }

    /// Tells that a session could not be opened. If the breaker was open, or the handle closed, it
    /// was not tried, or not to the end.
    pub(crate) fn tell_not_opened(&self, error: &Error) {
        if !error.is_unavailable() && !error.is_closed() {
            self.tell(Event::SessionRefused);
        }
    }

    /// A caller waits until this is dropped.
    #[inline(always)]
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        self.tell(Event::WaitBegan);
        Waiting(Kept::new(|| self))
    }

    /// A session was opened, which began at that time.
    pub(crate) fn opened(&self, begun: Timestamp) -> SessionTracker {
        self.tell(Event::SessionOpened { begun });
        SessionTracker::new(self)
    }

    /// A scope is asked for.
    #[inline(always)]
    pub(crate) fn scope(&self, options: &'static Options, kind: ScopeKind) -> ScopeTimer {
        ScopeTimer::start(self, options, kind)
    }

    /// A cleanup, from now on until the future is dropped. That may be less long than it would
    /// take: its runtime may shut down.
    #[cfg(feature = "metrics")]
    pub(crate) fn during<F: Future<Output = ()> + Send + 'static>(
        &self,
        cleanup: F,
    ) -> impl Future<Output = ()> + Send + 'static {
        let cleaning = Cleaning(self.clone());
        self.tell(Event::CleanupBegan);
        async move {
            let _cleaning = cleaning;
            cleanup.await;
        }
    }

    /// Nobody listens: the future stays as small as it is.
    #[cfg(not(feature = "metrics"))]
    pub(crate) fn during<F: Future<Output = ()> + Send + 'static>(&self, cleanup: F) -> F {
        cleanup
    }
}

/// A caller that waits for a session, until it is dropped.
pub(crate) struct Waiting<'a>(Kept<&'a Events>);

impl Drop for Waiting<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.look(|events| events.tell(Event::WaitEnded));
    }
}

/// A cleanup that goes on, until it is dropped.
#[cfg(feature = "metrics")]
struct Cleaning(Events);

#[cfg(feature = "metrics")]
impl Drop for Cleaning {
    fn drop(&mut self) {
        self.0.tell(Event::CleanupEnded);
    }
}
