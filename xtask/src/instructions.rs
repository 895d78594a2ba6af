//! Counts the instructions of the hot paths under valgrind, and fails if a path exceeds its limit.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use txn_test_servers::Server;

use crate::steps::{Steps, target};

/// The program that runs the benchmarks of the crate `gungraun`. Both must have the same version.
const RUNNER: (&str, &str) = ("gungraun-runner", "0.20.0");

/// The delay of each answer.
///
/// It is so long that the client always has to wait and never finds the answer there already, even
/// under valgrind and on a busy machine. This makes the counts repeatable.
const DELAY: Duration = Duration::from_millis(20);

/// The socket that PostgreSQL listens on, in the directory of the server.
const SOCKET: &str = ".s.PGSQL.5432";

pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    let (name, version) = RUNNER;
    // The path is absolute, because a benchmark runs in the directory of its package.
    let tools = steps.step("find the target directory", || Ok(target()?.join("tools")))?;
    let root = tools.display().to_string();
    // The runner reads what valgrind has counted, for which it need not be quick. It is built in
    // half of the time without optimizations.
    steps.cargo_with(
        &format!("install --quiet --debug --locked {name} --version {version} --root"),
        &[&root],
        &[],
    )?;
    let runner = tools.join("bin").join(name).display().to_string();
    let (_server, url) = steps.step("start a server whose answers are late", || {
        let server = Server::postgres()?;
        let url = delayed(&server)?;
        Ok((server, url))
    })?;
    steps.cargo_with(
        "bench --package txn-instructions --bench hot_paths",
        &[],
        &[
            ("GUNGRAUN_RUNNER", &runner),
            // Not every container may turn ASLR off, and the counts are the same.
            ("GUNGRAUN_ALLOW_ASLR", "true"),
            ("TXN_INSTRUCTIONS_URL", &url),
        ],
    )
}

/// Starts a proxy that delays the answers of the server, and returns the URL to use.
fn delayed(server: &Server) -> Result<String> {
    let socket = server.directory().join(SOCKET);
    let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
    let address: SocketAddr = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming() {
            // The client reports a connection that failed.
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
    thread::spawn(move || copy_delayed(server, client));
    Ok(())
}

fn copy_delayed(mut from: UnixStream, mut to: TcpStream) -> io::Result<()> {
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
