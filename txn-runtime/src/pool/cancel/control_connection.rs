//! The control connection: at most one at a time, opened on demand, and kept until it breaks or is
//! closed.
//!
//! ```text
//!   none ──run──► opened ──► in flight ──answered──► idle ──run──► in flight
//!    ▲                           │                    │
//!    ├── lost, timed out, dropped┘                    │
//!    └──────────────── disconnect, close ─────────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr};
use tokio::time::{Instant, timeout};

use crate::engine::{Engine, RoundTrip, timed_out};
use crate::model::error::Class;
use crate::pool::current_options::CurrentOptions;

/// The control connection, or how to open it. Its owner runs one request at a time.
pub(super) struct ControlConnection<DB: Engine> {
    /// How to open it: like any session of the pool.
    options: Arc<CurrentOptions<DB>>,
    /// The measured round trip, which bounds how long an answer is waited for.
    round_trip: Arc<RoundTrip>,
    /// The idle connection. It is taken out while a request is in flight and put back when the
    /// answer was read, so that a connection whose request was dropped in flight is never used
    /// again.
    connection: Option<DB::Connection>,
}

/// A control statement that failed.
pub(super) struct Failure {
    /// The error of the last attempt.
    pub(super) error: sqlx::Error,
    /// It was sent at least once without an answer, and may still take effect.
    pub(super) may_arrive_late: bool,
}

impl<DB: Engine> ControlConnection<DB> {
    /// Creates it without connecting.
    pub(super) fn new(options: Arc<CurrentOptions<DB>>, round_trip: Arc<RoundTrip>) -> Self {
        Self {
            options,
            round_trip,
            connection: None,
        }
    }

    /// Runs `sql` as one request and calls `read` with each row. `parts` is how many statements it
    /// consists of, for the time limit.
    ///
    /// A connection that was idle may have died meanwhile. If it gives no answer, the request is
    /// repeated on a new one. `read` is called with `None` before each attempt, and has to forget
    /// what it has seen so far.
    ///
    /// Returns true if the request may take effect a second time, later: it was sent before on a
    /// connection that did not answer in time.
    ///
    /// # Cancel safety
    ///
    /// Dropping it in flight drops the connection, and the request may still take effect.
    pub(super) async fn run(
        &mut self,
        sql: &str,
        parts: u32,
        mut read: impl FnMut(Option<&DB::Row>) + Send,
    ) -> Result<bool, Failure> {
        let mut may_arrive_late = false;
        // At most two rounds: only a connection that was idle is replaced.
        loop {
            let (mut connection, reused) = match self.connection.take() {
                Some(connection) => (connection, true),
                None => match self.connect().await {
                    Ok(connection) => (connection, false),
                    Err(error) => {
                        return Err(Failure {
                            error,
                            may_arrive_late,
                        });
                    }
                },
            };
            read(None);
            let sent = Instant::now();
            let answered = exec::<DB>(&mut connection, sql, &mut read);
            // From here to the end of the round the connection is owned by this future, so whatever
            // leaves the round without putting it back closes it.
            let Some(answered) = within(self.round_trip.statement_limit(parts), answered).await
            else {
                may_arrive_late = true;
                match reused {
                    true => continue,
                    false => {
                        return Err(Failure {
                            error: timed_out(),
                            may_arrive_late,
                        });
                    }
                }
            };
            match answered {
                Err(error) if Class::of(&error).is_loss() && reused => {
                    tracing::debug!(
                        target: "txn", system = DB::SYSTEM, %error,
                        "control connection lost"
                    );
                }
                Err(error) if Class::of(&error).is_loss() => {
                    return Err(Failure {
                        error,
                        may_arrive_late,
                    });
                }
                answered => {
                    self.round_trip.note(sent.elapsed());
                    self.connection = Some(connection);
                    return answered.map(|()| may_arrive_late).map_err(|error| Failure {
                        error,
                        may_arrive_late,
                    });
                }
            }
        }
    }

    /// Opens a connection, within the time that the measured round trip allows.
    async fn connect(&mut self) -> Result<DB::Connection, sqlx::Error> {
        let options = self.options.get();
        let connected = within(self.round_trip.connect_limit(), options.connect()).await;
        connected.unwrap_or_else(|| Err(timed_out()))
    }

    /// Drops the connection. The next request opens another.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Closes the connection with a goodbye to the server. The next request opens another.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // If this goodbye is lost, the server notices by itself.
            connection.close().await.ok();
        }
    }
}

/// Returns the output of `future`, or `None` if it takes longer than `limit`.
async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    timeout(limit, future).await.ok()
}

/// Runs `sql`, and calls `read` for each row.
async fn exec<DB: Engine>(
    connection: &mut DB::Connection,
    sql: &str,
    read: &mut (impl FnMut(Option<&DB::Row>) + Send),
) -> Result<(), sqlx::Error> {
    let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
    let mut steps = DB::fetch_many(connection, sql);
    while let Some(step) = steps.try_next().await? {
        if let Some(row) = step.right() {
            read(Some(&row));
        }
    }
    Ok(())
}
