//! Errors of connections that are given up, in the words of sqlx.

/// Why a connection is given up that has not answered.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// Why a connection is given up after a drop.
pub(crate) fn dropped_in_flight() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other("an operation was dropped in flight"))
}
