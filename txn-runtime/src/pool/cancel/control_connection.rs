//! The control connection: one at a time, kept until it breaks or is given up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr};
use tokio::time::{Instant, timeout};

use crate::engine::{ConnectOptionsOf, Engine, RoundTrip, timed_out};
use crate::model::error::Class;

pub(super) struct ControlConnection<DB: Engine> {
    options: ConnectOptionsOf<DB>,
    round_trip: Arc<RoundTrip>,
    /// While it is in use it is out of its place, so that one that was dropped in flight is never
    /// used again.
    connection: Option<DB::Connection>,
}

/// Why a control statement has come to nothing.
pub(super) struct Failure {
    pub(super) error: sqlx::Error,
    /// It was sent and not answered: it may take effect yet.
    pub(super) late: bool,
}

impl<DB: Engine> ControlConnection<DB> {
    pub(super) fn new(options: ConnectOptionsOf<DB>, round_trip: Arc<RoundTrip>) -> Self {
        Self {
            options,
            round_trip,
            connection: None,
        }
    }

    /// Runs what is one request; the rows it yields are given to `read`. A connection that has lain
    /// here may have died meanwhile: another try is made on a new one, and `read` is told by a
    /// `None` that all comes anew.
    ///
    /// Returns whether it may take effect once more, later.
    pub(super) async fn run(
        &mut self,
        sql: &str,
        parts: u32,
        mut read: impl FnMut(Option<&DB::Row>) + Send,
    ) -> Result<bool, Failure> {
        let mut late = false;
        loop {
            let (mut connection, reused) = match self.connection.take() {
                Some(connection) => (connection, true),
                None => match self.connect().await {
                    Ok(connection) => (connection, false),
                    Err(error) => return Err(Failure { error, late }),
                },
            };
            read(None);
            let sent = Instant::now();
            let answered = exec::<DB>(&mut connection, sql, &mut read);
            let Some(answered) = within(self.round_trip.statement_limit(parts), answered).await
            else {
                late = true;
                match reused {
                    true => continue,
                    false => {
                        return Err(Failure {
                            error: timed_out(),
                            late,
                        });
                    }
                }
            };
            match answered {
                Err(error) if Class::of(&error).is_loss() && reused => {
                    tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "control connection lost");
                }
                Err(error) if Class::of(&error).is_loss() => {
                    return Err(Failure { error, late });
                }
                answered => {
                    self.round_trip.note(sent.elapsed());
                    self.connection = Some(connection);
                    return answered
                        .map(|()| late)
                        .map_err(|error| Failure { error, late });
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<DB::Connection, sqlx::Error> {
        let connected = within(self.round_trip.connect_limit(), self.options.connect()).await;
        connected.unwrap_or_else(|| Err(timed_out()))
    }

    /// The next statement opens another.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }

    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The server notices if it does not hear this.
            connection.close().await.ok();
        }
    }
}

async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    timeout(limit, future).await.ok()
}

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
