//! Signals and waits for child processes, and for processes that are known only by their id.

use std::fs;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The time after which a server that neither starts nor stops is reported.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(2);

/// Calls `ask` until it returns a value. Returns `None` if there is none within `patience`.
pub(crate) fn poll<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() >= deadline {
            return answer;
        }
        sleep(POLL);
    }
}

/// Sends a signal. It is not an error if the child has ended already.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_child(child), signal);
}

pub(crate) fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    poll(patience, || child.try_wait().ok().flatten())
}

/// Kills the process with this id if it was started for `home`. Process ids are reused, so the home
/// must be in its command line.
pub(crate) fn kill_stray(pid: i32, home: &Path) {
    let Some(pid) = Pid::from_raw(pid) else {
        return;
    };
    if belongs_to(pid, home) {
        let _ = kill_process(pid, Signal::KILL);
        poll(Duration::from_secs(5), || {
            (!belongs_to(pid, home)).then_some(())
        });
    }
}

/// Returns whether the process was started for `home`. A zombie no longer has a command line.
fn belongs_to(pid: Pid, home: &Path) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let home = home.as_os_str().as_encoded_bytes();
    command.windows(home.len()).any(|part| part == home)
}
