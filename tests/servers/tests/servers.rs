//! The servers start, take connections, survive what tests do to them, and leave nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use txn_test_servers::{Options, Server, with_database};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[test]
fn postgres_greets_on_its_socket_and_leaves_nothing_behind() -> Outcome {
    leaves_nothing_behind(Server::postgres()?, postgres_greets)
}

#[test]
fn mariadb_greets_on_its_socket_and_leaves_nothing_behind() -> Outcome {
    leaves_nothing_behind(Server::mariadb()?, mariadb_greets)
}

#[test]
fn postgres_keeps_its_url_over_stop_crash_and_restart() -> Outcome {
    keeps_its_url(Options::postgres().durable(true).start()?, postgres_greets)
}

#[test]
fn mariadb_keeps_its_url_over_stop_crash_and_restart() -> Outcome {
    keeps_its_url(Options::mariadb().durable(true).start()?, mariadb_greets)
}

#[test]
fn postgres_asks_for_a_password_on_its_port() -> Outcome {
    let server = Options::postgres().tcp(true).start()?;
    assert!(postgres_greets(&socket_of(&server.url())));
    let mut stream = TcpStream::connect(address_of(&server.tcp_url()))?;
    const SASL: u32 = 10;
    assert_eq!(postgres_authentication(&mut stream)?, SASL);
    Ok(())
}

#[test]
fn mariadb_listens_on_its_port_too() -> Outcome {
    let server = Options::mariadb().tcp(true).start()?;
    assert!(mariadb_greets(&socket_of(&server.url())));
    let mut start = [0; 5];
    TcpStream::connect(address_of(&server.tcp_url()))?.read_exact(&mut start)?;
    assert_eq!(start[4], 10);
    Ok(())
}

#[test]
fn a_server_that_cannot_start_says_what_it_logged() {
    let started = Options::postgres()
        .arguments(["-c", "no_such_setting=1"])
        .start();
    let message = started.err().expect("an unknown setting").to_string();
    assert!(message.contains("ended while it started"), "{message}");
    assert!(message.contains("no_such_setting"), "{message}");
}

#[test]
fn servers_end_with_their_owner_even_if_it_is_killed() -> Outcome {
    let mut owner = Owner::start()?;
    let servers = owner.servers();
    assert!(
        servers
            .iter()
            .all(|(pid, home)| runs(*pid) && home.exists())
    );
    owner.process.kill()?;
    owner.process.wait()?;
    eventually("servers and homes are gone", || {
        servers
            .iter()
            .all(|(pid, home)| !runs(*pid) && !home.exists())
    });
    Ok(())
}

#[test]
fn servers_end_with_their_owner_when_it_leaves_without_dropping_them() -> Outcome {
    let mut owner = Owner::start()?;
    let servers = owner.servers();
    drop(owner.stdin.take());
    owner.process.wait()?;
    eventually("servers and homes are gone", || {
        servers
            .iter()
            .all(|(pid, home)| !runs(*pid) && !home.exists())
    });
    Ok(())
}

#[test]
fn the_next_run_removes_what_owner_and_supervisor_could_not() -> Outcome {
    let mut owner = Owner::start()?;
    let servers = owner.servers();
    for (_, home) in &servers {
        kill(&supervisor_of(home));
    }
    owner.process.kill()?;
    owner.process.wait()?;
    assert!(servers.iter().all(|(_, home)| home.exists()));
    let _next = Owner::start()?;
    eventually("servers and homes are gone", || {
        servers
            .iter()
            .all(|(pid, home)| !runs(*pid) && !home.exists())
    });
    Ok(())
}

#[test]
fn another_database_replaces_the_one_in_the_url() {
    assert_eq!(
        with_database("postgres://postgres@localhost/postgres?host=/a/b", "t1"),
        "postgres://postgres@localhost/t1?host=/a/b"
    );
    assert_eq!(
        with_database("mysql://root@localhost/?socket=/a/b", "t1"),
        "mysql://root@localhost/t1?socket=/a/b"
    );
    assert_eq!(
        with_database("mysql://root@h:3306", "t1"),
        "mysql://root@h:3306/t1"
    );
}

fn leaves_nothing_behind(server: Server, greets: fn(&Path) -> bool) -> Outcome {
    let home = home_of(server.directory());
    let pid = server.pid().expect("it runs");
    assert!(greets(&socket_of(&server.url())));
    assert!(runs(pid));
    drop(server);
    assert!(!runs(pid));
    assert!(!home.exists());
    Ok(())
}

fn keeps_its_url(mut server: Server, greets: fn(&Path) -> bool) -> Outcome {
    let url = server.url();
    let socket = socket_of(&url);
    let first = server.pid();
    server.stop()?;
    assert!(server.pid().is_none() && !greets(&socket));
    server.start()?;
    assert!(server.pid() != first && greets(&socket));
    server.crash()?;
    assert!(!greets(&socket));
    server.start()?;
    assert!(greets(&socket));
    server.restart()?;
    assert!(greets(&socket));
    assert_eq!(server.url(), url);
    Ok(())
}

/// A process that owns servers: this crate's program, which prints their URLs.
struct Owner {
    process: Child,
    stdin: Option<ChildStdin>,
    sockets: Vec<PathBuf>,
}

impl Owner {
    fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_txn-test-servers"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("piped"));
        // All lines are read, because a line that is written after the pipe was closed would end
        // the process.
        let lines = output.lines().take(4).collect::<Result<Vec<_>, _>>()?;
        assert_eq!(lines.len(), 4, "it has started both servers");
        let urls = lines.iter().take(2);
        let sockets = urls
            .map(|line| socket_of(line.trim_end_matches('\'')))
            .collect();
        Ok(Self {
            process,
            stdin,
            sockets,
        })
    }

    /// The process id and the home of each server.
    fn servers(&self) -> Vec<(u32, PathBuf)> {
        let server = |socket: &PathBuf| {
            let directory = socket.parent().expect("a socket has a directory");
            let pid = fs::read_to_string(directory.join("pid")).expect("the launcher wrote it");
            (pid.trim().parse().expect("a number"), home_of(directory))
        };
        self.sockets.iter().map(server).collect()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn home_of(directory: &Path) -> PathBuf {
    directory.parent().expect("in a home").to_path_buf()
}

fn socket_of(url: &str) -> PathBuf {
    let (address, path) = url
        .split_once("?host=")
        .or(url.split_once("?socket="))
        .expect("a socket");
    let directory = Path::new(path);
    let port = address
        .rsplit_once("localhost:")
        .and_then(|(_, rest)| rest.split('/').next());
    match url.contains("?host=") {
        true => directory.join(format!(".s.PGSQL.{}", port.unwrap_or("5432"))),
        false => directory.to_path_buf(),
    }
}

fn address_of(url: &str) -> &str {
    let (_, rest) = url.split_once('@').expect("a user");
    rest.split('/').next().expect("an address")
}

fn postgres_greets(socket: &Path) -> bool {
    const OK: u32 = 0;
    UnixStream::connect(socket)
        .and_then(|mut stream| postgres_authentication(&mut stream))
        .is_ok_and(|answer| answer == OK)
}

/// Returns the kind of authentication that the server asks for.
fn postgres_authentication(stream: &mut (impl Read + Write)) -> std::io::Result<u32> {
    let parameters = b"\0\x03\0\0user\0postgres\0\0";
    let length = u32::try_from(parameters.len() + 4).expect("short");
    stream.write_all(&[&length.to_be_bytes()[..], parameters].concat())?;
    let mut answer = [0; 9];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer[0], b'R', "an authentication request");
    Ok(u32::from_be_bytes([
        answer[5], answer[6], answer[7], answer[8],
    ]))
}

fn mariadb_greets(socket: &Path) -> bool {
    let mut start = [0; 5];
    UnixStream::connect(socket)
        .and_then(|mut stream| stream.read_exact(&mut start))
        .is_ok_and(|()| start[4] == 10)
}

/// Returns whether the process runs. A zombie, which only its new parent can reap, does not.
fn runs(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty())
}

fn supervisor_of(home: &Path) -> String {
    let home = home.display().to_string();
    let is_it = |pid: &String| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = command.split(|&byte| byte == 0);
        words.any(|word| word == b"supervise") && words.next() == Some(home.as_bytes())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids = processes.map(|entry| entry.file_name().to_string_lossy().into_owned());
    pids.find(is_it).expect("each home has a supervisor")
}

fn kill(pid: &str) {
    let status = Command::new("kill")
        .args(["-9", pid])
        .status()
        .expect("kill");
    assert!(status.success());
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "in time: {what}");
        sleep(Duration::from_millis(5));
    }
}
