//! The files that results are written to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Returns `target/bench` of the repository.
pub fn directory() -> Result<PathBuf> {
    let directory = repository()?.join("target/bench");
    fs::create_dir_all(&directory).context("make target/bench")?;
    Ok(directory)
}

/// Returns `benches/plots`, whose files the README shows.
pub fn plots() -> Result<PathBuf> {
    let directory = repository()?.join("benches/plots");
    fs::create_dir_all(&directory).context("make benches/plots")?;
    Ok(directory)
}

pub fn repository() -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = package.parent().context("the package is in a folder")?;
    Ok(repository.to_path_buf())
}

/// Writes `target/bench/NAME.json`.
pub fn save(name: &str, value: &impl Serialize) -> Result<PathBuf> {
    let path = directory()?.join(name).with_extension("json");
    fs::write(&path, serde_json::to_string_pretty(value)?).context("write the results")?;
    Ok(path)
}

/// Loads what an earlier command saved.
pub fn load<T: DeserializeOwned>(name: &str) -> Option<T> {
    let path = directory().ok()?.join(name).with_extension("json");
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
