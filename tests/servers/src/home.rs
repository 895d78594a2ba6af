//! The home of a server: its directory, and the processes that end with its owner.
//!
//! A server must never outlive the process that started it, however that process ends. `Drop`
//! covers the good case only: statics are not dropped, a panic may abort, and nothing runs after
//! SIGKILL. So each home has a supervisor, a small `sh` that reads a pipe whose other end the owner
//! holds. It has its own process group, so that Ctrl-C in the terminal does not reach it. When the
//! owner is gone, the kernel closes the pipe, and the supervisor stops the server and removes the
//! directory.
//!
//! Owner, launcher and supervisor communicate through three files:
//!
//! 1. `server/pid` is written by the launcher, in the process that then *becomes* the server.
//! 2. `closed` is written by the supervisor before it looks for `server/pid`, and checked by the
//!    launcher after it wrote that. So either the supervisor sees the pid, or the launcher sees
//!    that it is too late.
//! 3. `lock` is held by the owner. A later run that can lock it knows that the owner is gone, and
//!    removes what is left if the supervisor was killed too (`sweep.rs`).

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
    /// The owner's end of the pipe. It is closed by `Drop`, or by the kernel when the process ends.
    pipe: Option<PipeWriter>,
    _lock: File,
}

impl Home {
    pub(crate) fn new(engine: &dyn Engine) -> Result<Self> {
        let account = Account::for_user(engine.user())?;
        sweep::once(&bases());
        let directory = create(account, engine.socket_name())?;
        let lock = prepare(directory.path(), account)?;
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

    /// Runs `command` as the server's account, in the server's directory, and known to the
    /// supervisor.
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
        // The supervisor ends within seconds, by its own limits. The directory is gone then.
        let _ = self.supervisor.wait();
    }
}

/// The directories that a home may be created in. Memory comes first, because it is two to three
/// times faster than a disk here.
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

/// Returns whether there is room for servers. Containers often have a /dev/shm of 64 MiB, where a
/// server would start and then fail in the middle of a test.
fn is_roomy(base: &Path) -> bool {
    /// A dozen servers take some 60 MiB each, plus what tests write into them.
    const ENOUGH: u64 = 1 << 30;
    rustix::fs::statvfs(base).is_ok_and(|space| space.f_bavail * space.f_frsize >= ENOUGH)
}

/// Returns whether a socket's path would fit. The kernel's limit for it is 107 bytes.
fn is_short(base: &Path, socket_name: &str) -> bool {
    let home = base.join(format!("{PREFIX}123456"));
    let socket = home.join(SERVER).join(socket_name);
    socket.as_os_str().len() <= 107
}

fn prepare(home: &Path, account: Account) -> Result<File> {
    let server = home.join(SERVER);
    fs::create_dir(&server).context("create the server's directory")?;
    account.take_over(&server)?;
    fs::set_permissions(home, Permissions::from_mode(0o755)).context("open the home")?;
    lock(home).context("lock the home")
}

/// Creates the lock file. It is locked before it gets its name, so that nobody ever finds it
/// unlocked.
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
