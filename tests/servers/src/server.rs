use std::net::TcpListener;
use std::path::Path;
use std::process::Child;

use rustix::process::Signal;

use crate::Result;
use crate::engine::Engine;
use crate::error::{Context, Error};
use crate::home::Home;
use crate::options::Options;
use crate::place::Place;
use crate::process::{PATIENCE, poll, signal, wait};
use crate::template;

/// A private server. Dropping it ends the server and removes its directory.
pub struct Server {
    options: Options,
    place: Place,
    /// This field is before `home`, so that it is dropped first and the directory is removed last.
    process: Option<Child>,
    home: Home,
}

impl Server {
    /// Starts a PostgreSQL server on a socket; see [`Options`] for more.
    pub fn postgres() -> Result<Self> {
        Options::postgres().start()
    }

    /// Starts a MariaDB server on a socket; see [`Options`] for more.
    pub fn mariadb() -> Result<Self> {
        Options::mariadb().start()
    }

    /// The URL of the server's socket, in sqlx's form. The user is a superuser and needs no
    /// password. The URL stays the same across restarts.
    pub fn url(&self) -> String {
        self.engine().url(&self.place)
    }

    /// The URL of the server's loopback port, with user and password.
    ///
    /// # Panics
    ///
    /// Panics if the server was started without [`Options::tcp`].
    pub fn tcp_url(&self) -> String {
        let port = self.place.port.expect("started with `Options::tcp(true)`");
        self.engine().tcp_url(port)
    }

    /// The server's process id, for PostgreSQL that of the postmaster. It is `None` while the
    /// server is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// The directory of the server's data, socket and log. It is removed when the server is
    /// dropped.
    pub fn directory(&self) -> &Path {
        self.place.directory()
    }

    /// Shuts the server down cleanly and disconnects its clients. [`Server::start`] starts it
    /// again.
    pub fn stop(&mut self) -> Result<()> {
        self.end(self.engine().stop_signal())
    }

    /// Ends the server as a crash would: PostgreSQL by immediate shutdown, MariaDB by SIGKILL.
    pub fn crash(&mut self) -> Result<()> {
        self.end(self.engine().crash_signal())
    }

    /// Starts the server again after [`Server::stop`] or [`Server::crash`], with the same data and
    /// URLs, and waits until it accepts connections. Does nothing while it runs.
    pub fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let mut command = self.engine().serve(&self.place, &self.options)?;
        command.args(&self.options.arguments);
        let process = self.home.launch(&command)?;
        let process = self.process.insert(process);
        let (engine, place) = (self.options.engine, &self.place);
        let state = poll(PATIENCE, || state(engine, place, process));
        self.check_started(state)
    }

    /// Calls [`Server::stop`], then [`Server::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    pub(crate) fn start_new(options: Options) -> Result<Self> {
        const PORTS_TO_TRY: usize = 3;
        let home = Home::new(options.engine)?;
        let place = home.place();
        template::copy(options.engine, &place.data())?;
        let mut server = Self {
            options,
            place,
            process: None,
            home,
        };
        let mut started = server.start_on_a_port();
        for _ in 1..PORTS_TO_TRY {
            if started.is_err() && server.options.tcp {
                started = server.start_on_a_port();
            }
        }
        started.map(|()| server)
    }

    /// Starts the server on a port that is free now. Another process may take the port before the
    /// server listens on it.
    fn start_on_a_port(&mut self) -> Result<()> {
        if self.options.tcp {
            self.place.port = Some(free_port().context("find a free port")?);
        }
        self.start()
    }

    fn engine(&self) -> &'static dyn Engine {
        self.options.engine
    }

    fn end(&mut self, how: Signal) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        signal(&process, how);
        if wait(&mut process, PATIENCE).is_some() {
            return Ok(());
        }
        signal(&process, Signal::KILL);
        let _ = process.wait();
        Err(self.error("did not stop and was killed"))
    }

    fn check_started(&mut self, state: Option<State>) -> Result<()> {
        let complaint = match state {
            Some(State::Ready) => return Ok(()),
            Some(State::Ended) => "ended while it started",
            None => "is not ready after a minute",
        };
        let error = self.error(complaint);
        let _ = self.end(Signal::KILL);
        Err(error)
    }

    fn error(&self, complaint: &str) -> Error {
        let (name, log) = (self.engine().name(), self.place.log_tail());
        Error::new(format!(
            "the {name} server {complaint}; its log ends:\n{log}"
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The data is removed next, so there is no reason to write it first.
        let _ = self.crash();
    }
}

#[derive(Clone, Copy)]
enum State {
    Ready,
    Ended,
}

fn state(engine: &dyn Engine, place: &Place, process: &mut Child) -> Option<State> {
    if engine.is_ready(place, process.id()) {
        return Some(State::Ready);
    }
    let ended = process.try_wait().ok().flatten();
    ended.map(|_| State::Ended)
}

fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}
