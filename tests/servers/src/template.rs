//! Initialised data directories, which are created once and copied for each server.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::Result;
use crate::engine::Engine;
use crate::error::{Context, Error};
use crate::home::Home;
use crate::process::{PATIENCE, wait};

/// This process's templates. Each engine has its own home, which belongs to its server's account.
static OWN: Mutex<Vec<(&'static str, Home)>> = Mutex::new(Vec::new());

/// Fills `data` with a fresh data directory.
pub(crate) fn copy(engine: &dyn Engine, data: &Path) -> Result<()> {
    let template = shared_template(engine).map_or_else(|| own(engine), Ok)?;
    let status = Command::new("cp")
        .arg("-a") // The server checks ownership and modes.
        .args([&template, data])
        .status()
        .context("run cp")?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(format!("could not copy {}", template.display())))
    }
}

/// Returns this process's template, which is created at the first call and removed when the process
/// ends.
pub(crate) fn own(engine: &dyn Engine) -> Result<PathBuf> {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, home)) = own.iter().find(|(name, _)| *name == engine.name()) {
        return Ok(home.place().data());
    }
    let home = Home::new(engine)?;
    let data = home.place().data();
    initialise(engine, &home)?;
    own.push((engine.name(), home));
    Ok(data)
}

/// The template that `cargo xtask test` has created, if this process runs under it.
fn shared_template(engine: &dyn Engine) -> Option<PathBuf> {
    let template = PathBuf::from(env::var_os(engine.template_variable())?);
    template.is_dir().then_some(template)
}

fn initialise(engine: &dyn Engine, home: &Home) -> Result<()> {
    let place = home.place();
    let command = engine.initialise(&place.data(), place.directory())?;
    let mut child = home.launch(&command)?;
    match wait(&mut child, PATIENCE) {
        Some(status) if status.success() => Ok(()),
        _ => Err(Error::new(format!(
            "{} did not create a data directory; its output ends:\n{}",
            command.get_program().display(),
            place.log_tail()
        ))),
    }
}
