use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::Result;
use crate::options::Options;
use crate::place::Place;

/// The password of [`Engine::tcp_url`]'s user.
pub(crate) const PASSWORD: &str = "secret";

/// The connection limit of a server. Tests never open more at a time, even on many cores.
pub(crate) const MAX_CONNECTIONS: u32 = 200;

/// The differences between the two servers.
pub(crate) trait Engine: Sync {
    fn name(&self) -> &'static str;

    /// The environment variable that names an initialised data directory.
    fn template_variable(&self) -> &'static str;

    /// The system user that packages create for this server.
    fn user(&self) -> &'static str;

    /// The longest socket file name in a server's directory.
    fn socket_name(&self) -> &'static str;

    /// The signal that shuts the server down cleanly without waiting for clients.
    fn stop_signal(&self) -> Signal;

    /// The signal that ends the server as a crash would: unwritten data is lost.
    fn crash_signal(&self) -> Signal;

    /// The command that creates an empty data directory. `scratch` exists and belongs to the
    /// server's account.
    fn initialise(&self, data: &Path, scratch: &Path) -> Result<Command>;

    fn serve(&self, place: &Place, options: &Options) -> Result<Command>;

    /// Returns whether the server with process id `pid` accepts connections.
    fn is_ready(&self, place: &Place, pid: u32) -> bool;

    fn url(&self, place: &Place) -> String;

    fn tcp_url(&self, port: u16) -> String;
}

/// Percent-encodes a path for use as the value of a query parameter.
pub(crate) fn encode(path: &Path) -> String {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|&byte| match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
