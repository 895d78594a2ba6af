//! The system account that a server runs as. PostgreSQL refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::error::{Context, Error};

/// The user and group ids to switch to. `None` runs everything as the current user.
#[derive(Clone, Copy)]
pub(crate) struct Account(Option<(u32, u32)>);

impl Account {
    /// Returns `user`, or `nobody`, if this process runs as root, and the current user otherwise.
    pub(crate) fn for_user(user: &str) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let passwd = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        ids(&passwd, user)
            .or_else(|| ids(&passwd, "nobody"))
            .map(|ids| Self(Some(ids)))
            .ok_or_else(|| {
                Error::new(format!(
                    "a server refuses to run as root, \
                     and there is neither a user `{user}` nor `nobody`"
                ))
            })
    }

    /// Makes `command` run as this account.
    ///
    /// The ids are set on the command itself, so that the child's pid is the server's. `su` and
    /// `runuser` would stay in between, and a signal would hit them instead.
    pub(crate) fn run(self, command: &mut Command) {
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
    }

    pub(crate) fn take_over(self, path: &Path) -> Result<()> {
        let Some((uid, gid)) = self.0 else {
            return Ok(());
        };
        chown(path, Some(uid), Some(gid)).context(format_args!("hand over {}", path.display()))
    }

    /// Returns whether the account may enter `path` and every directory above it.
    pub(crate) fn can_enter(self, path: &Path) -> bool {
        const ENTER_OTHERS: u32 = 0o001;
        self.0.is_none()
            || path.ancestors().all(|directory| {
                fs::metadata(directory).is_ok_and(|meta| meta.mode() & ENTER_OTHERS != 0)
            })
    }
}

fn ids(passwd: &str, user: &str) -> Option<(u32, u32)> {
    let mut fields = passwd
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(user)).then_some(fields))?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some((uid, gid))
}
