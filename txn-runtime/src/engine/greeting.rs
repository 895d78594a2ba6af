//! The greeting: the first request on a new connection, and how much of it a server accepts.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Engine;

/// Which of an engine's greetings is sent: the index of the first one that the server has not
/// refused. The greetings of an engine ask for less and less.
///
/// All sessions of a pool share it, and it only counts up: what was refused once is not asked for
/// again by the sessions that follow, since a server writes every refusal into its log. The number
/// guards no other memory, so that its ordering is relaxed; two sessions that race may both be
/// refused once.
#[derive(Debug, Default)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    allow(dead_code, reason = "there is no server to greet")
)]
pub struct Greeting(AtomicUsize);

#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    allow(dead_code, reason = "there is no server to greet")
)]
impl Greeting {
    /// Sends the greetings one after the other until the server accepts one, and returns its row.
    /// All greetings yield the same columns.
    pub(crate) async fn greet<DB: Engine>(
        &self,
        connection: &mut DB::Connection,
        greetings: &'static [&'static str],
    ) -> Result<DB::Row, sqlx::Error> {
        let last = greetings.len() - 1;
        loop {
            let at = self.0.load(Ordering::Relaxed).min(last);
            match DB::fetch_optional(connection, greetings[at]).await {
                Err(sqlx::Error::Database(error)) if at < last && DB::refuses_greeting(&*error) => {
                    tracing::debug!(
                        target: "txn",
                        system = DB::SYSTEM,
                        %error,
                        "sessions are opened with less"
                    );
                    self.0.fetch_max(at + 1, Ordering::Relaxed);
                }
                answered => return answered?.ok_or(sqlx::Error::RowNotFound),
            }
        }
    }
}
