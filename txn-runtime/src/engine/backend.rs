//! How to reach a session from outside of its connection, to cancel what it is doing, and the
//! errors of a connection that the runtime gives up.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::OwnLimits;

/// A session, as its server knows it.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The id of the session: the process id, or the connection id.
    pub(crate) id: u64,
    /// The epoch of the server in which the id was given: which server it is, and since which
    /// start. Another server, or the same one after a restart, gives the same ids to others. `None`
    /// if the server does not say.
    pub(crate) server: Option<Arc<str>>,
    /// When the server accepted the session, if it says so: within one epoch, too, an id may be
    /// given to another session.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(dead_code, reason = "others do not tell")
    )]
    pub(crate) began: Option<i64>,
    /// The session is of use after the cancel, so that only its statement is to end. That is so on
    /// every engine if a row stream was dropped between two rows.
    #[cfg_attr(not(feature = "mysql"), allow(dead_code, reason = "others keep all"))]
    pub(crate) is_kept: bool,
}

/// How to reach a session from outside. It is made when the session is opened, and kept with its
/// connection in the pool.
#[derive(Debug, Default)]
pub struct Backend {
    /// The session, for a cancel on the control connection.
    pub(crate) target: Target,
    /// The server does not notice that its client is gone while it works on a statement.
    pub(crate) lingers: bool,
    /// Stops what the session is doing when it is set, on an engine within this process. The flag
    /// guards no other memory, so that it is read and written with relaxed ordering.
    pub(crate) interrupt: Option<Arc<AtomicBool>>,
    /// The time limits that the session has without a transaction; `None` since a statement may
    /// have changed them, until the session is asked again.
    pub(crate) limits: Option<OwnLimits>,
}

impl Backend {
    /// A session on a server.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        allow(dead_code, reason = "there is no server")
    )]
    pub(crate) fn new(target: Target, lingers: bool, limits: OwnLimits) -> Self {
        Self {
            target,
            lingers,
            limits: Some(limits),
            ..Self::default()
        }
    }

    /// A session within this process.
    #[cfg_attr(
        not(feature = "sqlite"),
        allow(dead_code, reason = "where there is a server, it is told")
    )]
    pub(crate) fn interrupted_by(interrupt: Arc<AtomicBool>) -> Self {
        Self {
            interrupt: Some(interrupt),
            limits: Some(OwnLimits::default()),
            ..Self::default()
        }
    }
}

/// The connection has not answered in time.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// The operation in flight on the connection cannot be cancelled.
pub(crate) fn left_to_its_server() -> sqlx::Error {
    let why =
        "what it was doing is not cancelled: another server answers, or it does not say which";
    sqlx::Error::Io(std::io::Error::other(why))
}

/// The connection is in order again, but a cancel may still be in flight that would hit its next
/// statement.
pub(crate) fn cancel_at_large() -> sqlx::Error {
    let why = "a cancel that was not answered may hit what comes next";
    sqlx::Error::Io(std::io::Error::other(why))
}

/// A future was dropped in flight, and the driver does not survive that.
pub(crate) fn dropped_in_flight() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other("an operation was dropped in flight"))
}
