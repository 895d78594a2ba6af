//! Processes that keep the processors of a virtual machine awake. A processor that went to sleep
//! takes longer to wake up than a transaction takes, and figures for one task would measure the
//! hypervisor.

use std::process::{Child, Command, Stdio};
use std::thread;

/// The processes. They give way to everything else, and end when this is dropped, or with their
/// parent.
pub struct Spinners(Vec<Child>);

impl Spinners {
    /// Starts a process for each processor. Without `nice` and `chrt` there are none.
    pub fn start() -> Self {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let spinners: Vec<_> = (0..count).filter_map(|_| spinner().ok()).collect();
        if spinners.is_empty() {
            println!("no `chrt` here: the processors may go to sleep between two answers");
        }
        Self(spinners)
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for spinner in &mut self.0 {
            let _ = spinner.kill();
            let _ = spinner.wait();
        }
    }
}

fn spinner() -> std::io::Result<Child> {
    Command::new("nice")
        .args(["-n", "19", "chrt", "--idle", "0"])
        .arg(std::env::current_exe()?)
        .arg("spin")
        .stdin(Stdio::piped())
        .spawn()
}

/// Runs the process. It spins until its input ends, which it does with its parent.
pub fn spin() -> ! {
    thread::spawn(|| {
        for _ in std::io::stdin().lines() {}
        std::process::exit(0);
    });
    loop {
        std::hint::spin_loop();
    }
}
