//! What an engine knows of leftovers: how they come to be on a session, and how they go.

use std::future::{Future, ready};

use sqlx::Database;

use super::ConnectOptionsOf;

/// What a session was opened with, as far as its engine has to know to bring it back there.
#[derive(Debug, Default)]
pub struct AsOpened(
    #[cfg_attr(
        not(feature = "sqlite"),
        allow(dead_code, reason = "one engine has to know")
    )]
    pub(crate) Vec<(String, String)>,
);

/// What there is to be done with a session that was to be brought back to how it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It has what it had, what the user had set up after connecting included.
    AsOpened,
    /// It is as it was before the user set it up.
    AsNew,
    /// It cannot be brought back.
    Close,
}

/// The part of an [`Engine`](super::Engine) that is about leftovers.
pub trait Resets: Database<Statement: Clone> {
    /// What brings a session back to how it was opened, in statements that may stand in front of a BEGIN, between one of their own
    /// and its COMMIT.
    const RESET: Option<&'static str> = None;
    /// What [`reset`](Self::reset) will have to know.
    fn as_opened(
        _connection: &mut Self::Connection,
        _options: &ConnectOptionsOf<Self>,
    ) -> impl Future<Output = Result<AsOpened, sqlx::Error>> + Send {
        ready(Ok(AsOpened::default()))
    }
    /// Brings a session, outside of a transaction, back to how it was opened.
    fn reset(
        _connection: &mut Self::Connection,
        _options: &ConnectOptionsOf<Self>,
        _as_opened: &AsOpened,
    ) -> impl Future<Output = Result<Renewal, sqlx::Error>> + Send {
        ready(Ok(Renewal::Close))
    }
    /// What brings back on a session what a migration may have left otherwise.
    #[cfg(feature = "migrate")]
    fn after_migrations(_options: &ConnectOptionsOf<Self>) -> Option<&'static str> {
        None
    }
    /// First keywords of statements that may leave something on their session, beside those that all engines have.
    const LEAVES: &'static [&'static str] = &[];
    /// What follows SET where it lasts for a transaction at most.
    const PASSES: &'static [&'static str] = &[];
    /// `@x` is a variable of the session.
    const HAS_VARIABLES: bool = false;
}
