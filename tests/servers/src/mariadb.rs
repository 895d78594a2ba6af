use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::Result;
use crate::engine::{Engine, MAX_CONNECTIONS, PASSWORD, encode};
use crate::error::Context;
use crate::options::Options;
use crate::place::Place;
use crate::programs::MARIADB;

pub(crate) struct MariaDb;

const SOCKET: &str = "mariadb.sock";

/// The database to connect to. MariaDB has none by default, unlike PostgreSQL.
const DATABASE: &str = "test";

/// This must be the first argument. Otherwise the system's configuration is read.
const NO_DEFAULTS: &str = "--no-defaults";

/// Small sizes, with which the server starts in a fifth of a second instead of several seconds.
const SMALL: [&str; 10] = [
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-data-file-path=ibdata1:4M:autoextend",
    "--innodb-temp-data-file-path=ibtmp1:4M:autoextend",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=1M",
    "--aria-log-file-size=8M",
    "--performance-schema=OFF",
    "--skip-name-resolve",
    "--skip-log-bin",
];

impl Engine for MariaDb {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    fn template_variable(&self) -> &'static str {
        "TXN_TEST_MARIADB_TEMPLATE"
    }

    fn user(&self) -> &'static str {
        "mysql"
    }

    fn socket_name(&self) -> &'static str {
        SOCKET
    }

    fn stop_signal(&self) -> Signal {
        Signal::TERM
    }

    fn crash_signal(&self) -> Signal {
        Signal::KILL
    }

    fn initialise(&self, data: &Path, scratch: &Path) -> Result<Command> {
        let mut command = Command::new(MARIADB.locate()?.initialiser);
        command
            .arg(NO_DEFAULTS)
            .arg(file_argument("--datadir=", data))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(SMALL)
            .env("TMPDIR", scratch);
        Ok(command)
    }

    fn serve(&self, place: &Place, options: &Options) -> Result<Command> {
        let mut command = Command::new(MARIADB.locate()?.server);
        command
            .arg(NO_DEFAULTS)
            .arg(file_argument("--datadir=", &place.data()))
            .arg(file_argument("--socket=", &place.file(SOCKET)))
            .arg(file_argument("--pid-file=", &place.file("mariadb.pid")))
            .arg(file_argument("--tmpdir=", place.directory()))
            .arg(statements(place)?)
            .arg(format!("--max-connections={MAX_CONNECTIONS}"))
            .arg("--character-set-server=utf8mb4")
            .arg(flush(options))
            .args(SMALL);
        listen(&mut command, place);
        Ok(command)
    }

    /// A server that is ready greets: the first packet comes from the server and begins with its
    /// protocol version, 10.
    fn is_ready(&self, place: &Place, _pid: u32) -> bool {
        let greeting = || -> std::io::Result<[u8; 5]> {
            let mut stream = UnixStream::connect(place.file(SOCKET))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            let mut start = [0; 5];
            stream.read_exact(&mut start)?;
            Ok(start)
        };
        greeting().is_ok_and(|start| start[4] == 10)
    }

    fn url(&self, place: &Place) -> String {
        let socket = encode(&place.file(SOCKET));
        format!("mysql://root@localhost/{DATABASE}?socket={socket}")
    }

    fn tcp_url(&self, port: u16) -> String {
        format!("mysql://txn:{PASSWORD}@127.0.0.1:{port}/{DATABASE}")
    }
}

/// Chooses when the log is flushed: 0 would lose acknowledged commits when the process is killed,
/// and 1 costs a sync per commit.
fn flush(options: &Options) -> &'static str {
    if options.durable {
        "--innodb-flush-log-at-trx-commit=1"
    } else {
        "--innodb-flush-log-at-trx-commit=2"
    }
}

fn listen(command: &mut Command, place: &Place) {
    match place.port {
        None => command.arg("--skip-networking"),
        Some(port) => command.args(["--bind-address=127.0.0.1", &format!("--port={port}")]),
    };
}

/// Writes the statements that the server runs at each start, before it accepts connections.
fn statements(place: &Place) -> Result<OsString> {
    let database = format!("CREATE DATABASE IF NOT EXISTS {DATABASE};\n");
    let user = format!(
        "CREATE USER IF NOT EXISTS 'txn'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON *.* TO 'txn'@'127.0.0.1' WITH GRANT OPTION;\n"
    );
    let file = place.file("init.sql");
    fs::write(&file, database + &user).context("write the first statements")?;
    Ok(file_argument("--init-file=", &file))
}

fn file_argument(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}
