//! Installs what the tests need: the database servers, valgrind, and a browser.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The name of a program, and the package that contains it.
type Program = (&'static str, &'static str);

const VALGRIND: Program = ("valgrind", "valgrind");
const CHROMIUM: Program = ("chromium", "chromium");
const CHROMEDRIVER: Program = ("chromedriver", "chromium-driver");

/// The script that installs packages.
///
/// Debian starts the services that it installs, unless policy-rc.d forbids it. It is one script, so
/// that `sudo` asks once. If the package lists cannot be refreshed, those at hand may be good
/// enough.
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

/// Installs the missing programs that the tests need. If that is not possible or not allowed, the
/// error says what to run.
pub(crate) fn for_tests(allowed: bool) -> Result<()> {
    provide(&[VALGRIND, CHROMIUM, CHROMEDRIVER], allowed)
}

/// Installs the missing programs that the benchmarks need.
pub(crate) fn for_benchmarks() -> Result<()> {
    provide(&[VALGRIND], true)
}

fn provide(programs: &[Program], allowed: bool) -> Result<()> {
    let packages = missing(programs);
    if packages.is_empty() {
        println!("everything is installed");
        return Ok(());
    }
    let names = packages.join(" ");
    let by_hand = format!("apt-get install --no-install-recommends {names}");
    if !allowed {
        bail!("missing: {names}. Leave out --no-install, or run `{by_hand}`");
    }
    println!("installing {names} through apt-get");
    let installed = install(&packages, programs);
    installed.with_context(|| format!("could not install {names}; run `{by_hand}`"))
}

/// The packages that are missing. The servers are always needed.
fn missing(programs: &[Program]) -> Vec<&'static str> {
    let servers = txn_test_servers::missing_packages();
    let programs = programs.iter().filter(|(program, _)| !on_path(program));
    let packages = programs.map(|(_, package)| *package);
    servers.into_iter().chain(packages).collect()
}

fn install(packages: &[&str], programs: &[Program]) -> Result<()> {
    ensure!(on_path("apt-get"), "there is no apt-get here");
    let mut command = as_root()?;
    command.args(["sh", "-c", SCRIPT, "install"]).args(packages);
    let status = command.status()?;
    ensure!(status.success(), "apt-get ended with {status}");
    let missing = missing(programs);
    ensure!(missing.is_empty(), "still not found: {}", missing.join(" "));
    Ok(())
}

/// Returns a command that runs its arguments as root.
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
