//! A proxy between a client and its server: at a word of the client's it holds the answers back, or
//! cuts the connection. So a test drops a future while its statement is in flight for certain, and
//! not by luck.
//!
//! The proxy parses nothing: it looks for a word in the bytes that the client sends.

use std::collections::VecDeque;
use std::future::pending;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep, sleep_until};

/// A unix socket that leads to the server's own.
pub(crate) struct Proxy {
    directory: TempDir,
    wires: Arc<watch::Sender<Wires>>,
    listener: JoinHandle<()>,
}

#[derive(Default)]
struct Wires {
    /// The sockets that new connections lead to, in turn.
    upstreams: VecDeque<PathBuf>,
    /// The time that bytes take in each direction.
    latency: Duration,
    /// Everything that clients have sent: the connection, and the bytes that were read at once.
    sent: Vec<(usize, Vec<u8>)>,
    rule: Option<(&'static str, Then)>,
    /// A text of the clients', and the text of the same length that reaches the server instead.
    garbled: Option<[&'static str; 2]>,
    /// Connections whose answers are held back.
    held: Vec<usize>,
    /// A word, and the connection whose requests are held back since it has sent the word.
    held_request: (Option<&'static str>, Option<usize>),
    /// Connections that end.
    cut: Vec<usize>,
    opened: usize,
    cuts: usize,
    /// Requests that were sent after an answer had come.
    turns: usize,
    answered: bool,
    /// No answer is passed on to any client.
    stalled: bool,
    /// Answers are passed on in pieces of so many bytes.
    drip: Option<usize>,
    /// Bytes of an answer, and those of the same length that its next occurrence is replaced by.
    forged: Option<(&'static [u8], &'static [u8])>,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Hold,
    Cut,
    /// This is sent instead.
    Send(&'static [u8]),
}

impl Wires {
    fn forge_in(&mut self, answer: &mut [u8]) {
        let Some((bytes, instead)) = self.forged else {
            return;
        };
        let mut windows = answer.windows(bytes.len());
        if let Some(at) = windows.position(|window| window == bytes) {
            answer[at..at + bytes.len()].copy_from_slice(instead);
            self.forged = None;
        }
    }
}

impl Proxy {
    pub(crate) fn new(socket_name: &str, upstream: PathBuf) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixListener::bind(directory.path().join(socket_name)).unwrap();
        let wires = Arc::new(watch::Sender::new(Wires {
            upstreams: [upstream].into(),
            ..Wires::default()
        }));
        let listener = tokio::spawn(listen(socket, Arc::clone(&wires)));
        Self {
            directory,
            wires,
            listener,
        }
    }

    /// The directory that the proxy's socket is in.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Holds back the answer to the next request with this word, and what follows it, until
    /// [`release`](Self::release).
    pub(crate) fn hold_answer_to(&self, word: &'static str) {
        self.wires
            .send_modify(|wires| wires.rule = Some((word, Then::Hold)));
    }

    /// Cuts the connection at a request with this word, which does not reach the server.
    pub(crate) fn cut_at(&self, word: &'static str) {
        self.wires
            .send_modify(|wires| wires.rule = Some((word, Then::Cut)));
    }

    /// Replaces `said` by `heard` on the way to the server, so that it answers as another server
    /// would.
    pub(crate) fn garble(&self, said: &'static str, heard: &'static str) {
        assert_eq!(said.len(), heard.len(), "the messages tell their length");
        self.wires
            .send_modify(|wires| wires.garbled = Some([said, heard]));
    }

    /// Leads new connections to another server; those that are open stay where they are.
    pub(crate) fn lead_to(&self, upstream: PathBuf) {
        self.lead_in_turn([upstream]);
    }

    /// Leads the next connection to the first of these, the one after it to the second, and so on,
    /// over and over.
    pub(crate) fn lead_in_turn(&self, upstreams: impl IntoIterator<Item = PathBuf>) {
        let upstreams = upstreams.into_iter().collect();
        self.wires.send_modify(|wires| wires.upstreams = upstreams);
    }

    /// Delays everything by this much in each direction, on connections that are opened from now
    /// on. To open one takes a round trip, as over TCP.
    pub(crate) fn delay(&self, latency: Duration) {
        self.wires.send_modify(|wires| wires.latency = latency);
    }

    /// Holds back the next request with this word, and what its connection sends after it, until
    /// [`release`](Self::release).
    pub(crate) fn hold_request_with(&self, word: &'static str) {
        self.wires
            .send_modify(|wires| wires.held_request = (Some(word), None));
    }

    /// Counts the connections that were opened. They are numbered from 1 in the order in which they
    /// came.
    pub(crate) fn connections(&self) -> usize {
        self.wires.borrow().opened
    }

    /// Holds back the answers of one connection until [`release`](Self::release).
    pub(crate) fn hold_answers_of(&self, connection: usize) {
        self.wires.send_modify(|wires| wires.held.push(connection));
    }

    /// Ends one connection.
    pub(crate) fn cut_one(&self, connection: usize) {
        self.wires.send_modify(|wires| wires.cut.push(connection));
    }

    /// Counts the requests of one connection.
    pub(crate) fn requests_of(&self, connection: usize) -> usize {
        let wires = self.wires.borrow();
        wires
            .sent
            .iter()
            .filter(|(this, _)| *this == connection)
            .count()
    }

    /// Replaces the next request with this word by `request`, whose answer the client gets.
    pub(crate) fn send_instead_of(&self, word: &'static str, request: Vec<u8>) {
        let then = Then::Send(request.leak());
        self.wires
            .send_modify(|wires| wires.rule = Some((word, then)));
    }

    /// Ends the connections that are open now.
    pub(crate) fn cut(&self) {
        self.wires.send_modify(|wires| wires.cuts += 1);
    }

    /// Passes answers on in pieces of so many bytes, so that their reader has to wait for each
    /// piece; all at once with `None`.
    pub(crate) fn drip(&self, bytes: Option<usize>) {
        self.wires.send_modify(|wires| wires.drip = bytes);
    }

    /// Replaces these bytes in the next answer that has them by as many others.
    pub(crate) fn forge(&self, bytes: &'static [u8], instead: &'static [u8]) {
        assert_eq!(bytes.len(), instead.len());
        self.wires
            .send_modify(|wires| wires.forged = Some((bytes, instead)));
    }

    /// Takes back all that holds, changes or stalls what is on the wire.
    pub(crate) fn release(&self) {
        self.wires.send_modify(|wires| {
            wires.rule = None;
            wires.garbled = None;
            wires.stalled = false;
            wires.held.clear();
            wires.held_request = (None, None);
        });
    }

    /// Lets the server take everything and answer nothing, on new connections too, until
    /// [`release`](Self::release).
    pub(crate) fn stall(&self) {
        self.wires.send_modify(|wires| wires.stalled = true);
    }

    /// Lets the connections that are open now swallow what is sent, as after a firewall has
    /// forgotten them; new ones do not.
    pub(crate) fn forget(&self) {
        self.wires
            .send_modify(|wires| wires.held = (1..=wires.opened).collect());
    }

    /// Returns once an answer is being held back.
    pub(crate) async fn holding(&self) {
        let held = |wires: &Wires| !wires.held.is_empty();
        self.wires.subscribe().wait_for(held).await.unwrap();
    }

    /// Returns whether an answer is being held back.
    pub(crate) fn is_holding(&self) -> bool {
        !self.wires.borrow().held.is_empty()
    }

    /// Counts the round trips so far: how often a client has spoken after it was answered. The
    /// count is right for one client at a time.
    pub(crate) fn round_trips(&self) -> usize {
        self.wires.borrow().turns
    }

    /// Returns once the clients have sent this word so often.
    pub(crate) async fn sent(&self, word: &str, times: usize) {
        let mut wires = self.wires.subscribe();
        while self.count(word) < times {
            wires.changed().await.unwrap();
        }
    }

    /// Returns what the clients have sent, in the order in which it was read: the connection, and
    /// the bytes.
    pub(crate) fn chunks(&self) -> Vec<(usize, Vec<u8>)> {
        self.wires.borrow().sent.clone()
    }

    /// Counts how often the clients have sent this word.
    pub(crate) fn count(&self, word: &str) -> usize {
        let sent: Vec<u8> = self
            .chunks()
            .into_iter()
            .flat_map(|(_, bytes)| bytes)
            .collect();
        let windows = sent.windows(word.len());
        windows.filter(|window| *window == word.as_bytes()).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut();
    }
}

async fn listen(socket: UnixListener, wires: Arc<watch::Sender<Wires>>) {
    while let Ok((client, _)) = socket.accept().await {
        let mut upstream = None;
        let mut latency = Duration::ZERO;
        wires.send_modify(|wires| {
            latency = wires.latency;
            upstream = wires.upstreams.pop_front();
            wires.upstreams.extend(upstream.clone());
        });
        let Some(upstream) = upstream else { return };
        let wires = Arc::clone(&wires);
        tokio::spawn(async move {
            sleep(2 * latency).await;
            // The client is hung up on if there is no server.
            if let Ok(server) = UnixStream::connect(&upstream).await {
                connect(client, server, latency, wires).await;
            }
        });
    }
}

async fn connect(
    client: UnixStream,
    server: UnixStream,
    latency: Duration,
    wires: Arc<watch::Sender<Wires>>,
) {
    let mut cuts = wires.subscribe();
    let mut this = 0;
    wires.send_modify(|wires| {
        wires.opened += 1;
        this = wires.opened;
    });
    let before = cuts.borrow().cuts;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // A server that hangs up does not end it: the client finds its last words when it speaks next.
    tokio::select! {
        () = requests(this, from_client, late(to_server, latency), &wires) => {}
        () = async {
            answers(this, from_server, late(to_client, latency), &wires).await;
            pending::<()>().await;
        } => {}
        () = async {
            let is_cut = |wires: &Wires| wires.cuts != before || wires.cut.contains(&this);
            drop(cuts.wait_for(is_cut).await);
        } => {}
    }
}

/// One end of a wire that takes its time.
enum Late {
    AtOnce(OwnedWriteHalf),
    After(Duration, UnboundedSender<(Instant, Vec<u8>)>),
}

fn late(mut to: OwnedWriteHalf, latency: Duration) -> Late {
    if latency.is_zero() {
        return Late::AtOnce(to);
    }
    let (sender, mut arriving) = unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, bytes)) = arriving.recv().await {
            // Bytes that are due go at once, because timers are coarse.
            if at > Instant::now() {
                sleep_until(at).await;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    Late::After(latency, sender)
}

impl Late {
    async fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::AtOnce(to) => to.write_all(bytes).await,
            Self::After(latency, sender) => {
                let arriving = (Instant::now() + *latency, bytes.to_vec());
                sender
                    .send(arriving)
                    .map_err(|_| ErrorKind::BrokenPipe.into())
            }
        }
    }
}

async fn requests(
    this: usize,
    mut client: OwnedReadHalf,
    mut server: Late,
    wires: &watch::Sender<Wires>,
) {
    let mut state = wires.subscribe();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        garble(&mut buffer[..length], wires);
        let request = &buffer[..length];
        // The rule is applied before the request is passed on, so that no answer slips through.
        let request = match apply(this, request, wires) {
            Some(Then::Cut) => return,
            Some(Then::Send(instead)) => instead,
            Some(Then::Hold) | None => request,
        };
        let may_pass = |wires: &Wires| wires.held_request.1 != Some(this);
        drop(state.wait_for(may_pass).await);
        if server.write_all(request).await.is_err() {
            return;
        }
    }
}

fn garble(request: &mut [u8], wires: &watch::Sender<Wires>) {
    let Some([said, heard]) = wires.borrow().garbled else {
        return;
    };
    let is_said = |window: &[u8]| window == said.as_bytes();
    if let Some(at) = request.windows(said.len()).position(is_said) {
        request[at..at + said.len()].copy_from_slice(heard.as_bytes());
    }
}

fn apply(this: usize, request: &[u8], wires: &watch::Sender<Wires>) -> Option<Then> {
    let mut applied = None;
    wires.send_modify(|wires| {
        wires.sent.push((this, request.to_vec()));
        wires.turns += usize::from(std::mem::take(&mut wires.answered));
        let is_said = |word: &str| request.windows(word.len()).any(|at| at == word.as_bytes());
        if wires.held_request.0.is_some_and(is_said) {
            wires.held_request = (None, Some(this));
        }
        let matches = |word: &str| {
            request
                .windows(word.len())
                .any(|window| window == word.as_bytes())
        };
        applied = wires
            .rule
            .filter(|(word, _)| matches(word))
            .map(|(_, then)| then);
        if applied == Some(Then::Hold) {
            wires.held.push(this);
        }
        if matches!(applied, Some(Then::Hold | Then::Send(_))) {
            wires.rule = None;
        }
    });
    applied
}

async fn answers(
    this: usize,
    mut server: OwnedReadHalf,
    mut client: Late,
    wires: &watch::Sender<Wires>,
) {
    let mut state = wires.subscribe();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = server.read(&mut buffer).await {
        // The guard that `wait_for` returns must not be held on to.
        let may_pass = |wires: &Wires| !wires.stalled && !wires.held.contains(&this);
        drop(state.wait_for(may_pass).await);
        wires.send_modify(|wires| {
            wires.answered = true;
            wires.forge_in(&mut buffer[..length]);
        });
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let drip = wires.borrow().drip;
            let (piece, after) = rest.split_at(drip.unwrap_or(length).min(rest.len()));
            rest = after;
            if client.write_all(piece).await.is_err() {
                return;
            }
            if drip.is_some() {
                yield_now().await; // to who reads it
            }
        }
    }
}
