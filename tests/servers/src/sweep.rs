//! Removes what earlier runs left behind because their machine went down, or because all processes
//! of their container were killed at once.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::home::{LOCK, PREFIX, SERVER};
use crate::process::kill_stray;

pub(crate) fn once(bases: &[PathBuf]) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let homes = bases.iter().flat_map(|base| homes(base));
        homes.for_each(|home| sweep(&home));
    });
}

/// The homes in `base` that belong to this user. Anybody may have created the others.
fn homes(base: &Path) -> impl Iterator<Item = PathBuf> {
    let us = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .filter(move |entry| {
            entry
                .metadata()
                .is_ok_and(|meta| meta.is_dir() && meta.uid() == us)
        })
        .map(|entry| entry.path())
}

/// Removes a home whose owner is gone. What cannot be removed now is left to the next run, because
/// nothing here may fail a test.
fn sweep(home: &Path) {
    let Ok(lock) = File::open(home.join(LOCK)) else {
        return;
    };
    if lock.try_lock().is_err() {
        return; // Its owner is alive.
    }
    let pid = fs::read_to_string(home.join(SERVER).join("pid")).unwrap_or_default();
    if let Ok(pid) = pid.trim().parse() {
        kill_stray(pid, home);
    }
    let _ = fs::remove_dir_all(home);
}
