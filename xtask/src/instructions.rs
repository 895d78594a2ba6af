//! Counts the instructions of the hot paths under valgrind, and fails where they have become more.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use txn_test_servers::Server;

use crate::steps::Steps;

/// Of the crate `gungraun`, whose benchmarks run in it; both must have the same version.
const RUNNER: (&str, &str) = ("gungraun-runner", "0.20.0");

/// Much longer than the client needs to wait for the answer, even under valgrind and beside other work: it then always
/// does, and never finds it there already. That is what makes the counts repeatable.
const DELAY: Duration = Duration::from_millis(20);

/// Where PostgreSQL listens, in the directory of the server.
const SOCKET: &str = ".s.PGSQL.5432";

pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    let (name, version) = RUNNER;
    let tools = steps.step("find the target directory", tools)?;
    let root = tools.display().to_string();
    steps.cargo_with(
        &format!("install --quiet --locked {name} --version {version} --root"),
        &[&root],
        &[],
    )?;
    let runner = tools.join("bin").join(name).display().to_string();
    let (_server, url) = steps.step("start a server whose answers are late", || {
        let server = Server::postgres()?;
        let url = late(&server)?;
        Ok((server, url))
    })?;
    steps.cargo_with(
        "bench --package txn-instructions --bench hot_paths",
        &[],
        &[
            ("GUNGRAUN_RUNNER", &runner),
            // Not every container may turn it off, and the counts are the same.
            ("GUNGRAUN_ALLOW_ASLR", "true"),
            ("TXN_INSTRUCTIONS_URL", &url),
        ],
    )
}

/// Absolute, because a benchmark runs in the directory of its package.
fn tools() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = std::path::absolute(target).context("find the target directory")?;
    Ok(target.join("tools"))
}

/// The URL of the server behind a proxy whose answers are late.
fn late(server: &Server) -> Result<String> {
    let socket = server.directory().join(SOCKET);
    let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
    let address: SocketAddr = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming() {
            // A client whose connection failed says so.
            let _ = client.and_then(|client| serve(client, &socket));
        }
    });
    Ok(format!("postgres://postgres@{address}/postgres"))
}

fn serve(client: TcpStream, socket: &Path) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = UnixStream::connect(socket)?;
    let (requests, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut &requests, &mut to_server));
    thread::spawn(move || pass_late(server, client));
    Ok(())
}

fn pass_late(mut from: UnixStream, mut to: TcpStream) -> io::Result<()> {
    let mut answer = [0; 8192];
    loop {
        let length = from.read(&mut answer)?;
        thread::sleep(DELAY);
        to.write_all(&answer[..length])?;
        if length == 0 {
            return Ok(());
        }
    }
}
