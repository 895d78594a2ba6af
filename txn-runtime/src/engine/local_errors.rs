//! Errors of connections that are given up, in the words of sqlx.

/// Why a connection is given up that has not answered.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// Why a connection is given up that nothing can be cancelled on.
pub(crate) fn left_to_its_server() -> sqlx::Error {
    let why =
        "what it was doing is not cancelled: another server answers, or it does not say which";
    sqlx::Error::Io(std::io::Error::other(why))
}

/// Why a connection is given up that is in order again.
pub(crate) fn cancel_at_large() -> sqlx::Error {
    let why = "a cancel that was not answered may hit what comes next";
    sqlx::Error::Io(std::io::Error::other(why))
}

/// Why a connection is given up after a drop.
pub(crate) fn dropped_in_flight() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other("an operation was dropped in flight"))
}
