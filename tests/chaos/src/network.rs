//! A network with faults: a TCP proxy that delays, cuts, or swallows what it should forward.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A proxy in front of a server on this machine.
pub struct Network {
    port: u16,
    state: Arc<watch::Sender<State>>,
    listener: JoinHandle<()>,
}

#[derive(Clone, Copy, Default)]
struct State {
    opened: u64,
    delay: Duration,
    /// Connections up to this number are cut.
    cut_up_to: u64,
    /// Every second connection up to this number is half-open: what is sent on it is lost.
    half_open_up_to: u64,
    /// True if half-open connections lose only the answers.
    answers_only: bool,
}

impl State {
    fn loses(&self, number: u64) -> bool {
        self.half_open_up_to >= number && number.is_multiple_of(2)
    }

    fn loses_requests(&self, number: u64) -> bool {
        self.loses(number) && !self.answers_only
    }
}

impl Network {
    pub async fn to(upstream: u16) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = socket.local_addr()?.port();
        let state = Arc::new(watch::Sender::default());
        let listener = tokio::spawn(listen(socket, upstream, Arc::clone(&state)));
        Ok(Self {
            port,
            state,
            listener,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Delays everything that is read from now on.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.state
            .send_modify(|state| state.cut_up_to = state.opened);
    }

    /// Makes half of the connections half-open: they stay open, and lose what is sent.
    pub fn half_open(&self, answers_only: bool) {
        self.state.send_modify(|state| {
            state.half_open_up_to = state.opened;
            state.answers_only = answers_only;
        });
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut();
    }
}

async fn listen(socket: TcpListener, upstream: u16, state: Arc<watch::Sender<State>>) {
    while let Ok((client, _)) = socket.accept().await {
        state.send_modify(|state| state.opened += 1);
        let number = state.borrow().opened;
        tokio::spawn(connect(client, upstream, number, state.subscribe()));
    }
}

async fn connect(
    client: TcpStream,
    upstream: u16,
    number: u64,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let both = state.clone();
    tokio::select! {
        done = pump(from_client, to_server, |now| now.loses_requests(number), &both) => done,
        done = pump(from_server, to_client, |now| now.loses(number), &both) => done,
        _ = state.wait_for(|state| state.cut_up_to >= number) => Ok(()),
    }
}

/// Forwards one direction. A half-open connection still notices that an end closes it.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    loses: impl Fn(State) -> bool,
    state: &watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let now = *state.borrow();
        if !now.delay.is_zero() {
            sleep(now.delay).await;
        }
        if !loses(now) {
            to.write_all(&buffer[..length]).await?;
        }
    }
}
