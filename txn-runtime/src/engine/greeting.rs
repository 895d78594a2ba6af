//! How much of a greeting a server takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Engine;

/// Which of an engine's greetings, that ask for less and less, the server has not refused yet.
///
/// What was refused once is not asked for again by the sessions that follow: a server writes every
/// refusal into its log.
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
    /// Greets with the first of these that the server takes. They yield the same columns.
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
                    tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "sessions are opened with less");
                    self.0.fetch_max(at + 1, Ordering::Relaxed);
                }
                answered => return answered?.ok_or(sqlx::Error::RowNotFound),
            }
        }
    }
}
