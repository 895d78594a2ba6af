//! What an engine knows of the state that a user may leave on a session: which statements leave
//! some, and how a session is reset.

use std::future::{Future, ready};

use sqlx::Database;

use super::ConnectOptionsOf;

/// The settings that a session was opened with, as far as its engine needs them to reset it. They
/// are read once, when the session is opened.
#[derive(Debug, Default)]
pub struct AsOpened(
    #[cfg_attr(
        not(feature = "sqlite"),
        allow(dead_code, reason = "one engine has to know")
    )]
    pub(crate) Vec<(String, String)>,
);

/// The state of a session after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It is as it was opened, with what the user's `after_connect` had set up.
    AsOpened,
    /// It is as it was before the user's `after_connect`, which has to run again.
    AsNew,
    /// It cannot be reset, and is to be closed.
    Close,
}

/// The part of an [`Engine`](super::Engine) that is about resetting sessions.
pub trait Resets: Database<Statement: Clone> {
    /// The SQL that resets a session, if it can be sent in front of a BEGIN. There it runs in a
    /// transaction of its own.
    const RESET: Option<&'static str> = None;
    /// Reads the settings that [`reset`](Self::reset) will need.
    fn as_opened(
        _connection: &mut Self::Connection,
        _options: &ConnectOptionsOf<Self>,
    ) -> impl Future<Output = Result<AsOpened, sqlx::Error>> + Send {
        ready(Ok(AsOpened::default()))
    }
    /// Resets a session that is outside of a transaction. Dropped or failed in the middle, it
    /// leaves the session half reset: the caller closes it.
    fn reset(
        _connection: &mut Self::Connection,
        _options: &ConnectOptionsOf<Self>,
        _as_opened: &AsOpened,
    ) -> impl Future<Output = Result<Renewal, sqlx::Error>> + Send {
        ready(Ok(Renewal::Close))
    }
    /// The SQL that restores what a migration may have changed on its session.
    #[cfg(feature = "migrate")]
    fn after_migrations(_options: &ConnectOptionsOf<Self>) -> Option<&'static str> {
        None
    }
    /// The first keywords of statements that may leave something on their session, in addition to
    /// those that all engines have.
    const LEAVES: &'static [&'static str] = &[];
    /// The second words of a SET that lasts for one transaction at most.
    const PASSES: &'static [&'static str] = &[];
    /// True if `@x` is a variable of the session.
    const HAS_VARIABLES: bool = false;
}
