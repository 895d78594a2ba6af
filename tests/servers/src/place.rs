use std::fs;
use std::path::{Path, PathBuf};

/// The part of a home that belongs to the server's account: data, socket and log.
pub(crate) struct Place {
    directory: PathBuf,
    /// The loopback port that the server listens on, if any.
    pub(crate) port: Option<u16>,
}

impl Place {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            port: None,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.file("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.file("log")
    }

    /// The last lines of the log, for an error message.
    pub(crate) fn log_tail(&self) -> String {
        const LINES: usize = 20;
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}
