//! A proxy with latency: bytes arrive later than they were sent, in order and with the same
//! spacing. It also counts the round trips that its clients wait for.
//!
//! It runs in a separate process, so that its work is not counted as the client's.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A proxy in a child process, which is killed when this is dropped.
pub struct Proxy {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub port: u16,
}

impl Proxy {
    pub fn start(upstream: u16, delay: Duration) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["proxy", &upstream.to_string()])
            .arg(delay.as_micros().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the proxy")?;
        let asks = process.stdin.take().context("piped")?;
        let answers = BufReader::new(process.stdout.take().context("piped")?);
        let mut proxy = Self {
            process,
            asks,
            answers,
            port: 0,
        };
        proxy.port = proxy.answer()?;
        Ok(proxy)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns the number of round trips of all clients so far.
    pub fn round_trips(&mut self) -> Result<u64> {
        self.asks.write_all(b"\n")?;
        self.answer()
    }

    fn answer<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &mut self,
    ) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().context("the proxy's answer")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the proxy's process. It prints its port, then the count for each line that it reads, and
/// ends with its input.
pub fn serve(upstream: u16, delay: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let trips = Arc::new(AtomicU64::new(0));
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    println!("{}", listener.local_addr()?.port());
    let count = Arc::clone(&trips);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            println!("{}", count.load(Ordering::Relaxed));
        }
        std::process::exit(0);
    });
    let upstream = SocketAddr::from(([127, 0, 0, 1], upstream));
    runtime.block_on(accept(listener, upstream, delay, trips))
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    delay: Duration,
    trips: Arc<AtomicU64>,
) -> Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let trips = Arc::clone(&trips);
        tokio::spawn(async move {
            // A client that disconnects is not an error, and one that cannot go on reports that
            // itself.
            let _ = carry(client, upstream, delay, trips).await;
        });
    }
}

async fn carry(
    client: TcpStream,
    upstream: SocketAddr,
    delay: Duration,
    trips: Arc<AtomicU64>,
) -> Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let answered = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&answered);
    let there = pump(from_client, to_server, delay, move |end| {
        // The first bytes that are sent after the last answer arrived start a round trip.
        if end == End::Sent && asked.swap(false, Ordering::Relaxed) {
            trips.fetch_add(1, Ordering::Relaxed);
        }
    });
    let back = pump(from_server, to_client, delay, move |end| {
        if end == End::Arrived {
            answered.store(true, Ordering::Relaxed);
        }
    });
    tokio::try_join!(there, back)?;
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Sent,
    Arrived,
}

/// Forwards one direction. Bytes are in flight while more are read.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    seen: impl Fn(End),
) -> Result<()> {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let send = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                break;
            }
            seen(End::Sent);
            sender.send((Instant::now() + delay, buffer[..length].to_vec()))?;
        }
        drop(sender);
        anyhow::Ok(())
    };
    let arrive = async {
        let alarm = Alarm::new()?;
        while let Some((due, bytes)) = receiver.recv().await {
            alarm.wait(due).await?;
            seen(End::Arrived);
            to.write_all(&bytes).await?;
        }
        to.shutdown().await?;
        anyhow::Ok(())
    };
    tokio::try_join!(send, arrive)?;
    Ok(())
}

/// A timer of the system. Tokio's timers count in milliseconds, which is too coarse here.
struct Alarm(AsyncFd<std::os::fd::OwnedFd>);

impl Alarm {
    fn new() -> Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe to call; an `OwnedFd` keeps what that asks for"
        )]
        Ok(Self(AsyncFd::new(timer)?))
    }

    async fn wait(&self, due: Instant) -> Result<()> {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: left.try_into()?,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        let mut guard = self.0.readable().await?;
        let mut expirations = [0; 8];
        rustix::io::read(self.0.get_ref(), &mut expirations)?;
        guard.clear_ready();
        Ok(())
    }
}
