//! Children, and processes known by their id only.

use std::fs;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Past this a server that neither starts nor stops is reported.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(2);

/// Asks until the answer is there; `None` when patience ended.
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

/// A child that has ended already is not an error: that is what a signal is sent for.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_child(child), signal);
}

pub(crate) fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    poll(patience, || child.try_wait().ok().flatten())
}

/// Kills the process with this id if it was started for `home`: ids are used again, so the home
/// must be in its command line.
pub(crate) fn kill_stray(pid: i32, home: &Path) {
    let Some(pid) = Pid::from_raw(pid) else {
        return;
    };
    if serves(pid, home) {
        let _ = kill_process(pid, Signal::KILL);
        poll(Duration::from_secs(5), || {
            (!serves(pid, home)).then_some(())
        });
    }
}

/// A zombie has no command line any more and serves nobody.
fn serves(pid: Pid, home: &Path) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let home = home.as_os_str().as_encoded_bytes();
    command.windows(home.len()).any(|part| part == home)
}
