//! PostgreSQL.
//!
//! - The connection survives a dropped operation: its query is cancelled, and its answer drained.
//! - Any failed statement aborts the transaction. Until a rollback, at least to a savepoint, the
//!   server refuses everything.
//! - BEGIN takes the isolation level and the time limits along in one request. The limits are set
//!   with `SET LOCAL`, so that the end of the transaction unsets them.
//! - COMMIT is sent behind a SAVEPOINT, which fails in an aborted transaction and outside of one.
//! - A cancel is a query on the control connection. It compares the epoch of the server, and when
//!   the session was accepted, before it cancels what that process id does.
//! - If the answer to COMMIT is lost, `pg_xact_status` says what became of the transaction.

use std::borrow::Cow;
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::postgres::{PgConnection, PgRow, Postgres};
use sqlx::{Connection, Describe, Execute, Executor, Row, SqlStr};

mod codes;
mod control;
mod reset;

use self::codes::NO_ACTIVE_TRANSACTION;

use super::{
    Access, ConnectOptionsOf, Engine, Greeting, OwnLimits, StatementRules, Step, Wire,
    delegate_to_sqlx,
};
use crate::engine::statement::Dialect;
use crate::engine::{Backend, Target};
use crate::model::error::Class;
use crate::model::options::{Lacks, Options};

/// The longest time limit that the server accepts: it counts milliseconds in 31 bits.
const LONGEST_MS: u64 = i32::MAX as u64;

impl Engine for Postgres {
    const SYSTEM: &'static str = "postgresql";
    const LACKS: Lacks = Lacks {
        deferrable: None,
        weak_isolation: None,
        second_writer: None,
    };

    #[cfg(feature = "metrics")]
    fn address(options: &ConnectOptionsOf<Self>) -> String {
        let host = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => options.get_host().to_owned(),
        };
        let database = options.get_database().unwrap_or(options.get_username());
        format!("{host}:{}/{database}", options.get_port())
    }

    async fn greet(
        connection: &mut PgConnection,
        _options: &ConnectOptionsOf<Self>,
        greeting: &Greeting,
    ) -> Result<Backend, sqlx::Error> {
        let row = greeting
            .greet::<Self>(connection, &control::GREETINGS)
            .await?;
        let pid: i32 = row.try_get(0)?;
        let checks_client: bool = row.try_get(3)?;
        let target = Target {
            id: pid.unsigned_abs().into(),
            server: row.try_get::<Option<String>, _>(1)?.map(String::into),
            began: row.try_get(2)?,
            is_kept: false,
        };
        Ok(Backend::new(target, !checks_client, Self::own_limits(&row)))
    }

    /// Sends a ping, and reads up to its answer. The answer of the dropped operation comes before
    /// it.
    async fn drain(
        connection: &mut PgConnection,
        _wire: Wire,
    ) -> Result<Option<sqlx::Error>, sqlx::Error> {
        let mut stale = None;
        loop {
            let answered = match stale {
                None => connection.ping().await,
                // The answer to the ping comes after the error, and is on its way already.
                Some(_) => connection.flush().await,
            };
            match answered {
                Ok(()) => return Ok(stale),
                // The error of the dropped statement itself comes first; the answer to the ping is
                // still outstanding.
                Err(error @ sqlx::Error::Database(_)) if !Class::of(&error).is_loss() => {
                    stale.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn in_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        // This fails in autocommit mode, and in an aborted transaction with another code.
        let probe = "SAVEPOINT txn_probe; RELEASE SAVEPOINT txn_probe";
        match connection.execute(probe).await {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) => {
                Ok(error.code().as_deref() != Some(NO_ACTIVE_TRANSACTION))
            }
            Err(error) => Err(error),
        }
    }

    const ASK_LIMITS: Option<&'static str> = Some(control::ASK_LIMITS);

    fn own_limits(row: &PgRow) -> OwnLimits {
        let limit = |name| {
            row.try_get::<i64, &str>(name)
                .ok()
                .map_or(0, i64::unsigned_abs)
        };
        OwnLimits {
            statement: limit("txn_statement"),
            idle: limit("txn_idle"),
        }
    }

    /// `BEGIN …; SET LOCAL …`. A limit is set only if the session has none, or a longer one.
    fn begin(options: &Options, limit: Option<Duration>, own: OwnLimits) -> Cow<'static, str> {
        let mut begin = Cow::Borrowed("BEGIN");
        if let Some(isolation) = options.isolation {
            begin += " ISOLATION LEVEL ";
            begin += isolation.as_sql();
        }
        if options.read_only {
            begin += " READ ONLY";
        }
        if options.deferrable {
            begin += " DEFERRABLE";
        }
        let Some(limit) = limit else {
            return begin;
        };
        let ms = u64::try_from(limit.as_millis()).map_or(LONGEST_MS, |ms| ms.min(LONGEST_MS));
        let limit = ms.to_string();
        // SET takes no snapshot. A query would, before the first statement of the body.
        for (name, own) in [
            ("statement_timeout", own.statement),
            ("idle_in_transaction_session_timeout", own.idle),
        ] {
            if own == 0 || own > ms {
                let begin = begin.to_mut();
                for part in ["; SET LOCAL ", name, " = ", &limit] {
                    begin.push_str(part);
                }
            }
        }
        begin
    }

    fn commit(_access: Access) -> &'static str {
        // A COMMIT alone returns Ok in an aborted transaction, which it rolls back, and outside of
        // one.
        "SAVEPOINT txn_end; COMMIT"
    }

    /// `begin_with` sends a simple query and waits until the server is ready, and does nothing else
    /// that a query does in the driver.
    const ENDS_CHEAPLY: bool = true;

    /// The setting is undone by RELEASE as well as by ROLLBACK TO.
    const SANDBOX_READ_ONLY: Option<&'static str> = Some("SET LOCAL transaction_read_only = on");

    fn sandbox_commit(_access: Access) -> &'static str {
        // Deferred constraints are checked as at a commit, and are deferred again afterwards.
        "SAVEPOINT txn_end; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO SAVEPOINT txn_end; \
         RELEASE SAVEPOINT txn_box; SAVEPOINT txn_box"
    }

    async fn check_writes(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // A read-only server refuses DROP before it looks for the table. A standby refuses to give
        // a transaction id.
        let write = "BEGIN; SET LOCAL client_min_messages = warning; \
            DROP TABLE IF EXISTS pg_temp.txn_check_writes; SELECT txid_current(); ROLLBACK";
        connection.execute(write).await.map(drop)
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        connection: &'e mut PgConnection,
        query: E,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, sqlx::Error>>
    where
        E: Execute<'q, Self> + 'q,
    {
        Executor::fetch_optional(connection, query)
    }

    delegate_to_sqlx!();
}

impl StatementRules for Postgres {
    const DIALECT: Dialect = Dialect {
        dollar_quotes: true,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::options::Isolation;

    fn own(statement: u64, idle: u64) -> OwnLimits {
        OwnLimits { statement, idle }
    }

    #[test]
    fn a_limit_is_set_only_where_the_session_has_none_that_is_shorter() {
        let begin = |ms, own| {
            let limit = Some(Duration::from_millis(ms));
            Postgres::begin(&Options::new("f"), limit, own).into_owned()
        };
        let statement = "; SET LOCAL statement_timeout = 900";
        let idle = "; SET LOCAL idle_in_transaction_session_timeout = 900";
        for (limits, set) in [
            (own(0, 0), format!("{statement}{idle}")),
            (own(901, 10_000), format!("{statement}{idle}")),
            (own(500, 0), idle.to_owned()),
            (own(0, 900), statement.to_owned()),
            (own(1, 1), String::new()),
        ] {
            assert_eq!(begin(900, limits), format!("BEGIN{set}"), "{limits:?}");
        }
        let longest = begin(u64::MAX, own(0, 1));
        assert_eq!(longest, "BEGIN; SET LOCAL statement_timeout = 2147483647");
    }

    #[test]
    fn begin_carries_everything_in_one_statement() {
        let plain = Options::new("f");
        assert_eq!(Postgres::begin(&plain, None, own(0, 0)), "BEGIN");
        let full = plain
            .isolation(Isolation::Serializable)
            .read_only()
            .deferrable();
        assert_eq!(
            Postgres::begin(&full, None, own(0, 0)),
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE"
        );
    }
}
