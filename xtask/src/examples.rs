//! Runs every program in examples/.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use txn_test_servers::Server;

use crate::steps::Steps;

/// The examples that take `--database URL`. Without it they use SQLite, as all others do.
const ON_EVERY_ENGINE: [&str; 2] = ["bank", "storm"];

/// The example that is its own package. It is called as users call it, by name from the root, with
/// a time limit because it would otherwise run forever.
const DASHBOARD: &str = "run --example dashboard -- --port 0 --storm --seconds 3";

pub(crate) fn run(steps: &mut Steps) {
    let names = steps.step("look for the examples", names);
    // They are there already, from the tests. `cargo run` would build all again that other packages
    // want more features of.
    let built = steps.cargo("build --workspace --all-features --examples");
    for name in built.and(names).into_iter().flatten() {
        let example = format!("debug/examples/{name}");
        steps.built(&example, &[]);
        if ON_EVERY_ENGINE.contains(&name.as_str()) {
            on_servers(steps, |steps, more| steps.built(&example, &more));
        }
    }
    steps.cargo(DASHBOARD);
    on_servers(steps, |steps, more| steps.cargo_with(DASHBOARD, &more, &[]));
}

/// Runs an example on fresh servers, because examples may create tables of the same name.
fn on_servers(steps: &mut Steps, run: impl Fn(&mut Steps, [&str; 2]) -> Option<()>) {
    let servers = [
        ("PostgreSQL", Server::postgres as fn() -> _),
        ("MariaDB", Server::mariadb),
    ];
    for (name, start) in servers {
        let server = steps.step(&format!("start {name} for it"), || Ok(start()?));
        if let Some(server) = server {
            run(steps, ["--database", &server.url()]);
        }
    }
}

/// Lists the examples of this package as cargo finds them: `NAME.rs`, and directories with a
/// `main.rs`.
fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("examples").context("read examples/")? {
        names.extend(name(&entry?.path()));
    }
    for expected in ON_EVERY_ENGINE {
        ensure!(
            names.iter().any(|name| name == expected),
            "there is no example `{expected}`"
        );
    }
    names.sort();
    Ok(names)
}

fn name(path: &Path) -> Option<String> {
    let is_program = path.extension().is_some_and(|extension| extension == "rs")
        || path.join("main.rs").is_file();
    is_program.then(|| {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    })?
}
