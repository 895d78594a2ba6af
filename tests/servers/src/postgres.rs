use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::Result;
use crate::engine::{Engine, MAX_CONNECTIONS, PASSWORD, encode};
use crate::error::Context;
use crate::options::Options;
use crate::place::Place;
use crate::programs::POSTGRES;

pub(crate) struct Postgres;

/// Settings that are safe if the server's process may crash, but not if its machine may.
const FAST: [&str; 3] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
];

impl Engine for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn template_variable(&self) -> &'static str {
        "TXN_TEST_POSTGRES_TEMPLATE"
    }

    fn user(&self) -> &'static str {
        "postgres"
    }

    fn socket_name(&self) -> &'static str {
        ".s.PGSQL.65535.lock"
    }

    /// SIGINT is the fast shutdown. The milder SIGTERM would wait for clients to disconnect.
    fn stop_signal(&self) -> Signal {
        Signal::INT
    }

    /// SIGQUIT is the immediate shutdown, without a checkpoint and with recovery at the next start.
    /// SIGKILL would leave the backends running for a moment, and their shared memory behind.
    fn crash_signal(&self) -> Signal {
        Signal::QUIT
    }

    fn initialise(&self, data: &Path, scratch: &Path) -> Result<Command> {
        let password = scratch.join("password");
        fs::write(&password, PASSWORD).context("write the password file")?;
        let mut command = Command::new(POSTGRES.locate()?.initialiser);
        command
            .args(["--username=postgres", "--encoding=UTF8", "--locale=C"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
            .args(["--no-sync", "--no-instructions"])
            .arg("--pwfile")
            .arg(password)
            .arg("--pgdata")
            .arg(data);
        Ok(command)
    }

    fn serve(&self, place: &Place, options: &Options) -> Result<Command> {
        let mut command = Command::new(POSTGRES.locate()?.server);
        command
            .arg("-D")
            .arg(place.data())
            .arg("-k")
            .arg(place.directory())
            .args(["-h", place.port.map_or("", |_| "127.0.0.1")])
            .args(["-c", "shared_buffers=16MB"])
            .args(["-c", &format!("max_connections={MAX_CONNECTIONS}")])
            .args(["-c", "log_min_messages=warning"])
            // This keeps shared memory in the data directory, which is removed with the server.
            .args(["-c", "dynamic_shared_memory_type=mmap"]);
        if let Some(port) = place.port {
            command.args(["-p", &port.to_string()]);
        }
        if !options.durable {
            command.args(FAST.iter().flat_map(|setting| ["-c", setting]));
        }
        Ok(command)
    }

    /// The pid is compared, because a crash leaves the file with `ready` in it until the next
    /// start.
    fn is_ready(&self, place: &Place, pid: u32) -> bool {
        let status = fs::read_to_string(place.data().join("postmaster.pid")).unwrap_or_default();
        let mut lines = status.lines();
        lines.next() == Some(&pid.to_string()) && lines.nth(6).map(str::trim) == Some("ready")
    }

    fn url(&self, place: &Place) -> String {
        let host = encode(place.directory());
        match place.port {
            None => format!("postgres://postgres@localhost/postgres?host={host}"),
            Some(port) => format!("postgres://postgres@localhost:{port}/postgres?host={host}"),
        }
    }

    fn tcp_url(&self, port: u16) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres")
    }
}
