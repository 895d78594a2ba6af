//! Finds the programs of the servers.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::Error;

/// Returns the Debian packages that [`crate::Server::postgres`] and [`crate::Server::mariadb`] need
/// and that are not installed.
pub fn missing_packages() -> Vec<&'static str> {
    [POSTGRES, MARIADB]
        .iter()
        .filter(|suite| suite.locate().is_err())
        .map(|suite| suite.package)
        .collect()
}

/// The programs that one engine needs, and the package that contains them.
pub(crate) struct Suite {
    server: &'static str,
    initialiser: &'static str,
    package: &'static str,
}

pub(crate) const POSTGRES: Suite = Suite {
    server: "postgres",
    initialiser: "initdb",
    package: "postgresql",
};

pub(crate) const MARIADB: Suite = Suite {
    server: "mariadbd",
    initialiser: "mariadb-install-db",
    package: "mariadb-server",
};

pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    pub(crate) initialiser: PathBuf,
}

impl Programs {
    fn exist(&self) -> bool {
        self.server.is_file() && self.initialiser.is_file()
    }
}

impl Suite {
    /// Finds both programs, in the same directory if possible: versions of PostgreSQL do not read
    /// each other's data.
    pub(crate) fn locate(&self) -> Result<Programs> {
        let mut both = directories().map(|directory| Programs {
            server: directory.join(self.server),
            initialiser: directory.join(self.initialiser),
        });
        if let Some(programs) = both.find(Programs::exist) {
            return Ok(programs);
        }
        Ok(Programs {
            server: self.find(self.server)?,
            initialiser: self.find(self.initialiser)?,
        })
    }

    fn find(&self, program: &str) -> Result<PathBuf> {
        directories()
            .map(|directory| directory.join(program))
            .find(|path| path.is_file())
            .ok_or_else(|| {
                let package = self.package;
                Error::new(format!(
                    "`{program}` is not installed: `cargo xtask test` installs it, \
                     or run `apt-get install --no-install-recommends {package}`"
                ))
            })
    }
}

/// The directories of `PATH`, then those where Debian installs servers, which are not on a user's
/// `PATH`.
fn directories() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = env::split_paths(&path).collect();
    let system = ["/usr/sbin", "/usr/bin", "/usr/libexec"].map(PathBuf::from);
    on_path.into_iter().chain(postgres_versions()).chain(system)
}

fn postgres_versions() -> Vec<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut versions: Vec<_> = entries.map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
    versions.iter().map(|path| path.join("bin")).collect()
}

/// Returns the version as numbers, so that 9.6 is older than 15.
fn version(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}
