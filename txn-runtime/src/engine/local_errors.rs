//! The errors of connections that the runtime itself gives up, as variants of `sqlx::Error`.

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
