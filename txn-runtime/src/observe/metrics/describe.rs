//! The names of all metrics, with units and descriptions.
//!
//! Names of OpenTelemetry's database conventions where there is one (`db.client.connection.*`), `txn.*` elsewhere.

use ::metrics::Unit;

pub(super) const SESSIONS: &str = "db.client.connection.count";
pub(super) const MAX_SESSIONS: &str = "db.client.connection.max";
pub(super) const WAITING: &str = "db.client.connection.pending_requests";
pub(super) const TIMEOUTS: &str = "db.client.connection.timeouts";
pub(super) const REJECTED: &str = "txn.callers.refused";
pub(super) const BREAKER: &str = "txn.breaker.open";
pub(super) const CREATE_TIME: &str = "db.client.connection.create_time";
pub(super) const WAIT_TIME: &str = "db.client.connection.wait_time";
pub(super) const USE_TIME: &str = "db.client.connection.use_time";
pub(super) const CREATED: &str = "txn.sessions.created";
pub(super) const REFUSED: &str = "txn.sessions.refused";
pub(super) const CLOSED: &str = "txn.sessions.closed";
pub(super) const UTILIZATION: &str = "txn.sessions.utilization";
pub(super) const SETTLING: &str = "txn.settling";
pub(super) const SETTLE_TIME: &str = "txn.settle.duration";
pub(super) const SCOPE_TIME: &str = "txn.scope.duration";
pub(super) const BEGIN_TIME: &str = "txn.begin.duration";
pub(super) const COMMIT_TIME: &str = "txn.commit.duration";
pub(super) const FINISHED: &str = "txn.commit.finished_after_drop";
pub(super) const ROLLBACKS: &str = "txn.rollbacks";
pub(super) const RETRIES: &str = "txn.retries";
pub(super) const ATTEMPTS: &str = "txn.scope.attempts";
pub(super) const HOOKS_FAILED: &str = "txn.hooks.failed";

#[derive(Clone, Copy)]
pub(super) enum Is {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric there is.
pub(super) const ALL: &[(&str, Is, Unit, &str)] = &[
    (
        SESSIONS,
        Is::Gauge,
        Unit::Count,
        "Sessions that are open, by state: idle in the pool, or used",
    ),
    (
        MAX_SESSIONS,
        Is::Gauge,
        Unit::Count,
        "The most sessions that may be open",
    ),
    (
        WAITING,
        Is::Gauge,
        Unit::Count,
        "Callers that have asked for a session and do not have it yet",
    ),
    (
        TIMEOUTS,
        Is::Counter,
        Unit::Count,
        "Callers that got no session in time",
    ),
    (
        REJECTED,
        Is::Counter,
        Unit::Count,
        "Callers that were refused before their time was over, by reason",
    ),
    (
        BREAKER,
        Is::Gauge,
        Unit::Count,
        "1 while the server is out of reach and callers that need a new connection fail at once",
    ),
    (
        CREATE_TIME,
        Is::Histogram,
        Unit::Seconds,
        "The time it took to open a session",
    ),
    (
        WAIT_TIME,
        Is::Histogram,
        Unit::Seconds,
        "The time it took to get a session, opening one included",
    ),
    (
        USE_TIME,
        Is::Histogram,
        Unit::Seconds,
        "The time a session was out of the pool, cleanup included",
    ),
    (CREATED, Is::Counter, Unit::Count, "Sessions opened"),
    (
        REFUSED,
        Is::Counter,
        Unit::Count,
        "Sessions that could not be opened",
    ),
    (
        CLOSED,
        Is::Counter,
        Unit::Count,
        "Sessions closed, by reason",
    ),
    (
        UTILIZATION,
        Is::Gauge,
        Unit::Count,
        "Sessions used, as a share of the most that may be open, from 0 to 1",
    ),
    (
        SETTLING,
        Is::Gauge,
        Unit::Count,
        "Cleanups in the background: sessions being settled, scopes being ended, hooks",
    ),
    (
        SETTLE_TIME,
        Is::Histogram,
        Unit::Seconds,
        "The time it took to bring a session to a known state, by how it ended",
    ),
    (
        SCOPE_TIME,
        Is::Histogram,
        Unit::Seconds,
        "The time from asking for a scope to its end, all attempts and the wait included",
    ),
    (
        BEGIN_TIME,
        Is::Histogram,
        Unit::Seconds,
        "The time it took to begin a transaction",
    ),
    (
        COMMIT_TIME,
        Is::Histogram,
        Unit::Seconds,
        "The time it took to commit",
    ),
    (
        FINISHED,
        Is::Counter,
        Unit::Count,
        "Commits that ended after their caller was dropped, or was told that they are late",
    ),
    (
        ROLLBACKS,
        Is::Counter,
        Unit::Count,
        "Transactions rolled back, by cause",
    ),
    (
        RETRIES,
        Is::Counter,
        Unit::Count,
        "Attempts at a scope after its first",
    ),
    (
        ATTEMPTS,
        Is::Histogram,
        Unit::Count,
        "Attempts that a scope with `retry` took",
    ),
    (
        HOOKS_FAILED,
        Is::Counter,
        Unit::Count,
        "Hooks that failed or panicked",
    ),
];

/// Tells the recorder; again for each `Db`, which does no harm.
pub(super) fn describe() {
    for &(name, is, unit, about) in ALL {
        match is {
            Is::Counter => ::metrics::describe_counter!(name, unit, about),
            Is::Gauge => ::metrics::describe_gauge!(name, unit, about),
            Is::Histogram => ::metrics::describe_histogram!(name, unit, about),
        }
    }
}
