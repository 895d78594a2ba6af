//! Headless Chromium, driven over `WebDriver`.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use thirtyfour::{ChromiumLikeCapabilities, DesiredCapabilities, WebDriver};

/// Arguments that turn off graphics and the sandbox, as in a container, and everything that uses
/// the network.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1440,1400",
];

pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    chromedriver: Child,
    /// A fresh profile, so that it contains nothing of the user's.
    profile: TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut capabilities = DesiredCapabilities::chrome();
        let chromium = find("chromium").display().to_string();
        capabilities.set_binary(&chromium).unwrap();
        for argument in ARGUMENTS {
            capabilities.add_arg(argument).unwrap();
        }
        let directory = format!("--user-data-dir={}", profile.path().display());
        capabilities.add_arg(&directory).unwrap();
        let (mut chromedriver, port) = start_chromedriver();
        let url = format!("http://127.0.0.1:{port}");
        match WebDriver::new(url, capabilities).await {
            Ok(driver) => Self {
                driver,
                chromedriver,
                profile,
            },
            Err(error) => {
                chromedriver.kill().ok();
                panic!("Chromium did not start: {error}");
            }
        }
    }
}

impl Drop for Browser {
    /// Kills Chromium, which would outlive the process that started it.
    fn drop(&mut self) {
        // The target of the link is `HOST-PID`.
        if let Ok(lock) = fs::read_link(self.profile.path().join("SingletonLock"))
            && let Some((_, pid)) = lock.to_string_lossy().rsplit_once('-')
        {
            Command::new("kill").arg(pid).status().ok();
        }
        self.chromedriver.kill().ok();
        self.chromedriver.wait().ok();
    }
}

/// Starts chromedriver on a free loopback port, which it prints. It needs the same port on IPv4 and
/// IPv6, and ends if the second one is taken.
fn start_chromedriver() -> (Child, u16) {
    const ATTEMPTS: usize = 5;
    let mut attempts = std::iter::repeat_with(try_chromedriver).take(ATTEMPTS);
    let started = attempts.find_map(|started| started);
    started.expect("chromedriver ended while it started")
}

fn try_chromedriver() -> Option<(Child, u16)> {
    let mut command = Command::new(find("chromedriver"));
    let mut process = command
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start chromedriver");
    let output = process.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let port = lines.find_map(|line| port(&line));
    if port.is_none() {
        process.wait().ok();
    }
    Some((process, port?))
}

fn port(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}

fn find(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut files = env::split_paths(&path).map(|directory| directory.join(program));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!(
            "`{program}` is not installed: `cargo xtask test` installs it, \
             or run `apt-get install --no-install-recommends chromium chromium-driver`"
        )
    })
}
