//! A home: the directory of one server, and the processes that end with its owner.
//!
//! A server must never outlive the process that started it, however that one ends. `Drop` covers
//! the good case only: statics are not dropped, a panic may abort, and nothing runs after
//! SIGKILL. So each home has a supervisor, a small `sh` in a process group of its own (Ctrl-C in
//! the terminal does not reach it) that reads a pipe whose other end the owner holds. When the
//! owner is gone the kernel closes the pipe; the supervisor stops the server and removes the
//! directory.
//!
//! Between the two stand three files:
//!
//! 1. `server/pid` is written by the launcher, in the process that then *becomes* the server.
//! 2. `closed` is written by the supervisor before it looks for `server/pid`, and looked for by
//!    the launcher after it wrote that: either the supervisor sees the pid, or the launcher sees
//!    that it is too late. No moment lies between.
//! 3. `lock` is held by the owner. A later run that can take it knows that the owner is gone, and
//!    sweeps what a supervisor that was killed too has left behind (`sweep.rs`).

use std::fs::{self, File, Permissions};
use std::io::PipeWriter;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::Result;
use crate::account::Account;
use crate::engine::Engine;
use crate::error::{Context, Error};
use crate::place::Place;
use crate::sweep;

pub(crate) const PREFIX: &str = "txn-server-";
pub(crate) const LOCK: &str = "lock";
pub(crate) const SERVER: &str = "server";

const LAUNCH: &str = include_str!("launch.sh");
const SUPERVISE: &str = include_str!("supervise.sh");

pub(crate) struct Home {
    path: PathBuf,
    account: Account,
    supervisor: Child,
    /// Closed by `Drop`, or by the kernel when the process ends.
    pipe: Option<PipeWriter>,
    _lock: File,
}

impl Home {
    pub(crate) fn new(engine: &dyn Engine) -> Result<Self> {
        let account = Account::for_user(engine.user())?;
        sweep::once(&bases());
        let directory = create(account, engine.socket_name())?;
        let lock = furnish(directory.path(), account)?;
        let (supervisor, pipe) = supervise(directory.path(), engine.crash_signal())?;
        Ok(Self {
            path: directory.keep(),
            account,
            supervisor,
            pipe: Some(pipe),
            _lock: lock,
        })
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.path.join(SERVER))
    }

    /// Runs `command` as the server's account, in its directory, known to the supervisor.
    pub(crate) fn launch(&self, command: &Command) -> Result<Child> {
        let place = self.place();
        let log = File::options()
            .create(true)
            .append(true)
            .open(place.log())
            .context("open the server's log")?;
        let errors = log.try_clone().context("open the server's log")?;
        let mut launcher = self.launcher(command);
        launcher.current_dir(place.directory());
        launcher.stdin(Stdio::null()).stdout(log).stderr(errors);
        launcher
            .spawn()
            .context(format_args!("start {}", command.get_program().display()))
    }

    fn launcher(&self, command: &Command) -> Command {
        let mut launcher = Command::new("sh");
        launcher
            .args(["-c", LAUNCH, "launch"])
            .arg(&self.path)
            .arg(command.get_program())
            .args(command.get_args())
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .process_group(0);
        self.account.run(&mut launcher);
        launcher
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.pipe = None;
        // It ends within seconds by its own bounds; then the directory is gone.
        let _ = self.supervisor.wait();
    }
}

/// Memory first: two to three times faster than a disk here.
fn bases() -> Vec<PathBuf> {
    vec!["/dev/shm".into(), std::env::temp_dir(), "/tmp".into()]
}

fn create(account: Account, socket_name: &str) -> Result<TempDir> {
    bases()
        .iter()
        .filter(|base| account.can_enter(base) && is_roomy(base) && is_short(base, socket_name))
        .find_map(|base| {
            tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir_in(base)
                .ok()
        })
        .ok_or_else(|| {
            Error::new(
                "no directory for a server: neither /dev/shm nor a temporary directory is \
                 writable, has 1 GiB free and a path short enough for a socket",
            )
        })
}

/// Containers often have a /dev/shm of 64 MiB: the server would start and then fail in mid-test.
fn is_roomy(base: &Path) -> bool {
    /// A dozen servers of some 60 MiB, and what tests write into them.
    const ENOUGH: u64 = 1 << 30;
    rustix::fs::statvfs(base).is_ok_and(|space| space.f_bavail * space.f_frsize >= ENOUGH)
}

/// The kernel's limit for the path of a unix socket is 107 bytes.
fn is_short(base: &Path, socket_name: &str) -> bool {
    let home = base.join(format!("{PREFIX}123456"));
    let socket = home.join(SERVER).join(socket_name);
    socket.as_os_str().len() <= 107
}

fn furnish(home: &Path, account: Account) -> Result<File> {
    let server = home.join(SERVER);
    fs::create_dir(&server).context("create the server's directory")?;
    account.own(&server)?;
    fs::set_permissions(home, Permissions::from_mode(0o755)).context("open the home")?;
    lock(home).context("lock the home")
}

/// Locked before it has its name, so that nobody ever finds it free.
fn lock(home: &Path) -> std::io::Result<File> {
    let unnamed = home.join("lock.new");
    let file = File::create(&unnamed)?;
    file.lock()?;
    fs::rename(unnamed, home.join(LOCK))?;
    Ok(file)
}

fn supervise(home: &Path, crash: Signal) -> Result<(Child, PipeWriter)> {
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    let supervisor = Command::new("sh")
        .args(["-c", SUPERVISE, "supervise"])
        .arg(home)
        .arg(crash.as_raw().to_string())
        .current_dir("/")
        .stdin(reader)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("start the supervisor")?;
    Ok((supervisor, writer))
}
