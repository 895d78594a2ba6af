//! The differences between the engines that have a server, for tests of its faults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor};
use tokio::time::{sleep, timeout};
use txn::{ConnectOptionsOf, Db, MySql, Postgres};
use txn_test_servers::{Options, with_database};

use crate::support::engine::TestEngine;
use crate::support::observer::PATIENCE;
use crate::support::proxy::Proxy;

pub(crate) trait ServerEngine: TestEngine {
    /// A word of the statement that begins a transaction.
    const BEGIN: &'static str;
    /// Asks a session for its id on the server.
    const BACKEND: &'static str;
    /// The code of a wrong password.
    const WRONG_PASSWORD: &'static str;
    /// Gives the user of [`tcp_url`](txn_test_servers::Server::tcp_url) another password.
    const CHANGE_PASSWORD: &'static str;
    /// The code of a database that is not there.
    const NO_DATABASE: &'static str;
    /// An outer transaction goes on after a SAVEPOINT was dropped in flight.
    const SURVIVES_DROPS: bool;
    /// A server option that closes sessions which lie idle for two seconds, which is longer than
    /// any session goes unchecked.
    const CLOSE_IDLE: &'static [&'static str];

    /// A statement in which the server hangs up.
    const LOSE_CONNECTION: &'static str;

    /// A word of the request that ends a session's operation.
    const CANCEL: &'static str;
    /// A query that takes a second or two.
    const SHORT_QUERY: &'static str;
    /// Makes what is said of the session `ours` reach `theirs` on another server. Returns whether
    /// that was possible.
    fn is_named_in(proxy: &Proxy, ours: i64, theirs: i64) -> bool;
    /// Words of the greeting, and replacements of the same length with which a server does not tell
    /// all that identifies a session.
    const TOLD_BY_HALF: &'static [[&'static str; 2]];
    /// A word of the full greeting.
    const GREETING: &'static str;
    /// A word of the greeting, and a replacement of the same length that servers refuse.
    const REFUSED_GREETINGS: &'static [[&'static str; 2]];

    /// A query that asks for a lock which another transaction has on the row 1, and does not wait.
    const LOCKED: &'static str;
    /// Statements that let sessions only read which are opened from now on, and let them write
    /// again.
    const ONLY_READ: [&'static str; 2];
    /// The codes with which such sessions refuse to write.
    const READ_ONLY_CODES: &'static [&'static str];
    /// A query that lists all tables.
    const TABLES: &'static str;

    /// The file name of a server's socket.
    const SOCKET: &'static str;

    /// A server of the test's own.
    fn server() -> Options;
    /// The URL of whoever listens on this port.
    fn tcp_url(port: u16) -> String;
    /// The URL of the same server's database with this name.
    fn in_database(url: &str, name: &str) -> String;
    fn end_session(id: i64) -> String;
    fn count_session(id: i64) -> String;

    /// A query for the time that a session has had nothing to do.
    fn idle_seconds(id: i64) -> String;

    fn upstream(options: &ConnectOptionsOf<Self>) -> PathBuf;
    fn at(options: ConnectOptionsOf<Self>, directory: &Path) -> ConnectOptionsOf<Self>;

    /// Options for the same database by way of a proxy.
    fn by_proxy(url: &str) -> (Proxy, ConnectOptionsOf<Self>) {
        let options = url.parse().unwrap();
        let proxy = Proxy::new(Self::SOCKET, Self::upstream(&options));
        let options = Self::at(options, proxy.directory());
        (proxy, options)
    }
}

/// Ends a session as an administrator would, and returns when the server is done with it.
pub(crate) async fn kill<DB: ServerEngine>(db: &Db<DB>, id: i64) {
    db.execute(AssertSqlSafe(DB::end_session(id)))
        .await
        .unwrap();
    until_gone(db, id).await;
}

/// Returns when the server has no such session any more.
pub(crate) async fn until_gone<DB: ServerEngine>(db: &Db<DB>, id: i64) {
    let gone = async {
        loop {
            let row = db
                .fetch_one(AssertSqlSafe(DB::count_session(id)))
                .await
                .unwrap();
            if DB::number(&row) == 0 {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

impl ServerEngine for Postgres {
    const BEGIN: &'static str = "BEGIN";
    const BACKEND: &'static str = "SELECT pg_backend_pid()::bigint";
    const WRONG_PASSWORD: &'static str = "28P01";
    const CHANGE_PASSWORD: &'static str = "ALTER ROLE postgres PASSWORD 'another'";
    const NO_DATABASE: &'static str = "3D000";
    const SURVIVES_DROPS: bool = true;
    const LOSE_CONNECTION: &'static str = "SELECT pg_terminate_backend(pg_backend_pid())";
    const CANCEL: &'static str = "pg_cancel_backend";
    const SHORT_QUERY: &'static str = "SELECT pg_sleep(1.5)";

    /// Process ids cannot be chosen, so the server hears another one.
    fn is_named_in(proxy: &Proxy, ours: i64, theirs: i64) -> bool {
        let [ours, theirs] = [ours, theirs].map(|pid| format!("(VALUES ({pid}, "));
        let same = ours.len() == theirs.len();
        if same {
            proxy.garble(ours.leak(), theirs.leak());
        }
        same
    }

    const TOLD_BY_HALF: &'static [[&'static str; 2]] = &[
        ["pg_control_system", "pg_control_sysxxx"],
        [
            "pg_stat_get_activity(pg_backend_pid())",
            "pg_stat_get_activity(0               )",
        ],
    ];
    const GREETING: &'static str = "pg_control_system";
    const REFUSED_GREETINGS: &'static [[&'static str; 2]] = &[
        ["'1s', false", "'-s', false"],
        ["pg_control_system", "pg_control_sysxxx"],
    ];
    const LOCKED: &'static str = "SELECT n FROM t WHERE id = 1 FOR UPDATE NOWAIT";
    const ONLY_READ: [&'static str; 2] = [
        "ALTER ROLE postgres SET default_transaction_read_only = on",
        "ALTER ROLE postgres RESET default_transaction_read_only",
    ];
    const READ_ONLY_CODES: &'static [&'static str] = &["25006"];
    const TABLES: &'static str = "SELECT oid FROM pg_class";
    const SOCKET: &'static str = ".s.PGSQL.5432";
    const CLOSE_IDLE: &'static [&'static str] = &["-c", "idle_session_timeout=2s"];

    fn server() -> Options {
        Options::postgres()
    }

    fn tcp_url(port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }

    fn in_database(url: &str, name: &str) -> String {
        url.replacen("/postgres?", &format!("/{name}?"), 1)
    }

    fn end_session(id: i64) -> String {
        format!("SELECT pg_terminate_backend({id})")
    }

    fn count_session(id: i64) -> String {
        format!("SELECT COUNT(*) FROM pg_stat_activity WHERE pid = {id}")
    }

    fn idle_seconds(id: i64) -> String {
        format!(
            "SELECT EXTRACT(EPOCH FROM clock_timestamp() - state_change)::BIGINT \
             FROM pg_stat_activity WHERE pid = {id}"
        )
    }

    fn upstream(options: &PgConnectOptions) -> PathBuf {
        let file = format!(".s.PGSQL.{}", options.get_port());
        options
            .get_socket()
            .expect("the server is on a socket")
            .join(file)
    }

    fn at(options: PgConnectOptions, directory: &Path) -> PgConnectOptions {
        options.socket(directory).port(5432)
    }
}

impl ServerEngine for MySql {
    const BEGIN: &'static str = "START TRANSACTION";
    const BACKEND: &'static str = "SELECT CAST(CONNECTION_ID() AS SIGNED)";
    const WRONG_PASSWORD: &'static str = "1045";
    const CHANGE_PASSWORD: &'static str =
        "SET PASSWORD FOR 'txn'@'127.0.0.1' = PASSWORD('another')";
    const NO_DATABASE: &'static str = "1049";
    const SURVIVES_DROPS: bool = false;
    const LOSE_CONNECTION: &'static str = "KILL CONNECTION_ID()";
    const CANCEL: &'static str = "KILL CONNECTION";
    const SHORT_QUERY: &'static str = "SELECT SLEEP(1.5)";

    fn is_named_in(_proxy: &Proxy, ours: i64, theirs: i64) -> bool {
        ours == theirs
    }

    const TOLD_BY_HALF: &'static [[&'static str; 2]] = &[];
    const GREETING: &'static str = "information_schema.global_status";
    const REFUSED_GREETINGS: &'static [[&'static str; 2]] = &[[
        "information_schema.global_status",
        "information_schema.global_statxx",
    ]];
    const LOCKED: &'static str = "SELECT n FROM t WHERE id = 1 FOR UPDATE NOWAIT";
    const ONLY_READ: [&'static str; 2] = [
        "SET GLOBAL tx_read_only = ON",
        "SET GLOBAL tx_read_only = OFF",
    ];
    const READ_ONLY_CODES: &'static [&'static str] = &["1792"];
    const TABLES: &'static str =
        "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE()";
    const SOCKET: &'static str = "my.sock";
    const CLOSE_IDLE: &'static [&'static str] = &["--wait-timeout=2"];

    fn server() -> Options {
        Options::mariadb()
    }

    fn tcp_url(port: u16) -> String {
        format!("mysql://root@127.0.0.1:{port}/test")
    }

    fn in_database(url: &str, name: &str) -> String {
        with_database(url, name)
    }

    fn end_session(id: i64) -> String {
        format!("KILL {id}")
    }

    fn count_session(id: i64) -> String {
        format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}")
    }

    fn idle_seconds(id: i64) -> String {
        format!("SELECT CAST(time AS SIGNED) FROM information_schema.processlist WHERE id = {id}")
    }

    fn upstream(options: &MySqlConnectOptions) -> PathBuf {
        options
            .get_socket()
            .expect("the server is on a socket")
            .clone()
    }

    fn at(options: MySqlConnectOptions, directory: &Path) -> MySqlConnectOptions {
        options.socket(directory.join(Self::SOCKET))
    }
}
