//! Installs what the tests need: the database servers, and valgrind.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Debian would start what it installs; policy-rc.d tells it not to. One script, so that it needs
/// the rights of root once. The package lists may be out of reach and those at hand good enough.
const SCRIPT: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
apt-get update || echo 'the package lists could not be refreshed; going on with those at hand'
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    -o DPkg::Lock::Timeout=120 "$@"
"#;

/// Installs what is missing, or says what to run where that is not possible or not wanted.
pub(crate) fn missing_servers(allowed: bool) -> Result<()> {
    let packages = missing();
    if packages.is_empty() {
        println!("PostgreSQL, MariaDB and valgrind are installed");
        return Ok(());
    }
    let names = packages.join(" ");
    let by_hand = format!("apt-get install --no-install-recommends {names}");
    if !allowed {
        bail!("missing: {names}. Leave out --no-install, or run `{by_hand}`");
    }
    println!("installing {names} through apt-get");
    install(&packages).with_context(|| format!("could not install {names}; run `{by_hand}`"))
}

fn missing() -> Vec<&'static str> {
    let valgrind = (!on_path("valgrind")).then_some("valgrind");
    let servers = txn_test_servers::missing_packages();
    servers.into_iter().chain(valgrind).collect()
}

fn install(packages: &[&str]) -> Result<()> {
    ensure!(on_path("apt-get"), "there is no apt-get here");
    let mut command = as_root()?;
    command.args(["sh", "-c", SCRIPT, "install"]).args(packages);
    let status = command.status()?;
    ensure!(status.success(), "apt-get ended with {status}");
    let missing = missing();
    ensure!(missing.is_empty(), "still not found: {}", missing.join(" "));
    Ok(())
}

/// A command that runs its arguments as root.
fn as_root() -> Result<Command> {
    if is_root()? {
        return Ok(Command::new("env"));
    }
    ensure!(
        on_path("sudo"),
        "installing needs root, and there is no sudo"
    );
    Ok(Command::new("sudo"))
}

fn is_root() -> Result<bool> {
    let id = Command::new("id").arg("-u").output().context("run `id`")?;
    Ok(id.stdout.trim_ascii() == b"0")
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
