//! How to reach a session from outside of its connection.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::OwnLimits;

/// A session, as its server knows it.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Its name.
    pub(crate) id: u64,
    /// The run of the server that gave it that name, in the server's words: names are given anew
    /// after a restart, and by another server. `None` where the server does not say.
    pub(crate) server: Option<Arc<str>>,
    /// When the server took it, where that is told: a name may be a stranger's by now.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(dead_code, reason = "others do not tell")
    )]
    pub(crate) began: Option<i64>,
    /// Some rows of its statement were read, and it is of use afterwards on every engine: only the
    /// statement is to end.
    #[cfg_attr(not(feature = "mysql"), allow(dead_code, reason = "others keep all"))]
    pub(crate) is_kept: bool,
}

/// How to reach a session from outside.
#[derive(Debug, Default)]
pub struct Backend {
    pub(crate) target: Target,
    /// The server does not look whether a client is still there while it works for it.
    pub(crate) lingers: bool,
    /// Set to stop what it is doing, where that is done from within this process.
    pub(crate) interrupt: Option<Arc<AtomicBool>>,
    /// What limits it has by itself; `None` since something may have changed them.
    pub(crate) limits: Option<OwnLimits>,
}

impl Backend {
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        allow(dead_code, reason = "there is no server")
    )]
    pub(crate) fn new(target: Target, lingers: bool, limits: OwnLimits) -> Self {
        Self {
            target,
            lingers,
            limits: Some(limits),
            ..Self::default()
        }
    }

    #[cfg_attr(
        not(feature = "sqlite"),
        allow(dead_code, reason = "where there is a server, it is told")
    )]
    pub(crate) fn interrupted_by(interrupt: Arc<AtomicBool>) -> Self {
        Self {
            interrupt: Some(interrupt),
            limits: Some(OwnLimits::default()),
            ..Self::default()
        }
    }
}
