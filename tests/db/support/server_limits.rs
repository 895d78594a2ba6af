//! The server's own limits, which differ between the engines that have a server.

use sqlx::{AssertSqlSafe, Connection, Executor};
use txn::{MySql, Postgres};
use txn_test_servers::{shared_mariadb_url, shared_postgres_url};

use crate::support::engine::Place;
use crate::support::server_engine::ServerEngine;

pub(crate) trait Limited: ServerEngine {
    /// A query for the milliseconds that a statement may take; 0 is no limit.
    const STATEMENT: &'static str;
    /// A query for the seconds that the server gives an idle transaction; 0 is no limit.
    const IDLE: &'static str;
    /// A statement that gives the session 700 s for a statement, and 900 s of idleness.
    const SET: &'static str;
    /// A query that takes longer than the accounts here have for a statement.
    const SLOW: &'static str;
    /// The code of a statement that took too long.
    const TOO_LONG: &'static str;

    /// The URL of this place for an account with 500 ms for a statement, or 1 s on an engine whose
    /// limit is in whole seconds.
    fn short_account(place: &Place) -> impl Future<Output = String> + Send;
}

impl Limited for Postgres {
    const STATEMENT: &'static str = "SELECT (EXTRACT(EPOCH FROM \
         current_setting('statement_timeout')::INTERVAL) * 1000)::BIGINT";
    const IDLE: &'static str = "SELECT EXTRACT(EPOCH FROM \
         current_setting('idle_in_transaction_session_timeout')::INTERVAL)::BIGINT";
    const SET: &'static str =
        "SET statement_timeout = '700s'; SET idle_in_transaction_session_timeout = '900s'";
    const SLOW: &'static str = "SELECT pg_sleep(60)";
    const TOO_LONG: &'static str = "57014";

    async fn short_account(place: &Place) -> String {
        let name = &place.name;
        let mut admin = sqlx::PgConnection::connect(shared_postgres_url())
            .await
            .unwrap();
        let create = format!(
            "CREATE ROLE {name} LOGIN SUPERUSER; \
             ALTER ROLE {name} SET statement_timeout = '500ms'; \
             ALTER ROLE {name} SET idle_in_transaction_session_timeout = '7s'"
        );
        admin.execute(AssertSqlSafe(create)).await.unwrap();
        place.url.replacen("//postgres@", &format!("//{name}@"), 1)
    }
}

impl Limited for MySql {
    const STATEMENT: &'static str = "SELECT CAST(@@SESSION.max_statement_time * 1000 AS SIGNED)";
    const IDLE: &'static str = "SELECT CAST(@@SESSION.wait_timeout AS SIGNED)";
    const SET: &'static str = "SET SESSION max_statement_time = 700, SESSION wait_timeout = 900";
    const SLOW: &'static str = "SELECT SLEEP(60)";
    const TOO_LONG: &'static str = "1969";

    async fn short_account(place: &Place) -> String {
        // A name has at most 80 characters there, which is also the limit for a user.
        let name = &place.name;
        let mut admin = sqlx::MySqlConnection::connect(shared_mariadb_url())
            .await
            .unwrap();
        for sql in [
            format!("CREATE USER {name}@localhost WITH MAX_STATEMENT_TIME 1"),
            format!("GRANT ALL ON *.* TO {name}@localhost"),
        ] {
            admin.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        place.url.replacen("//root@", &format!("//{name}@"), 1)
    }
}
