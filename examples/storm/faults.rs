//! The faults of the throwaway server, and of the network to it, during the storm.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use txn::ConnectOptionsOf;
use txn_chaos::{Database, Engine, FaultyServer};

/// The number of times that each fault has happened.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// The number of sessions that are terminated at a time.
const VICTIMS: i64 = 3;

pub(crate) struct FaultInjector<E: Engine> {
    server: FaultyServer,
    direct: ConnectOptionsOf<E>,
    rng: StdRng,
    counts: Counts,
}

impl<E: Engine> FaultInjector<E> {
    pub(crate) fn new(server: FaultyServer, direct: &ConnectOptionsOf<E>, seed: u64) -> Self {
        Self {
            server,
            direct: direct.clone(),
            rng: StdRng::seed_from_u64(seed),
            counts: Counts::new(),
        }
    }

    /// Injects faults until `over`, in a separate task, because a server that is being restarted
    /// blocks it. The task returns the counts, and the server so that it keeps running.
    pub(crate) fn start(
        mut self,
        over: Arc<AtomicBool>,
    ) -> JoinHandle<Result<(Counts, FaultyServer)>> {
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                self.pause(100..1_000).await;
                self.inject().await?;
            }
            self.server.network.cut();
            Ok((self.counts, self.server))
        })
    }

    async fn inject(&mut self) -> Result<()> {
        match self.rng.random_range(0..100) {
            0..40 => self.terminate_sessions().await,
            40..55 => self.slow_down().await,
            55..70 => self.cut(),
            70..85 => self.half_open().await,
            _ => self.crash().await?,
        }
        Ok(())
    }

    async fn terminate_sessions(&mut self) {
        let terminate = async {
            let mut direct = Database::<E>::connect(&self.direct).await?;
            E::terminate(&mut direct, VICTIMS).await
        };
        let ended = terminate.await.unwrap_or(0);
        self.count("sessions terminated", ended);
    }

    async fn slow_down(&mut self) {
        let delay = self.rng.random_range(1..30);
        self.server.network.delay(Duration::from_millis(delay));
        self.pause(200..2_000).await;
        self.server.network.delay(Duration::ZERO);
        self.count("times the network was delayed", 1);
    }

    fn cut(&mut self) {
        self.server.network.cut();
        self.count("times the network was cut", 1);
    }

    async fn half_open(&mut self) {
        let answers_only = self.rng.random_bool(0.5);
        self.server.network.half_open(answers_only);
        self.pause(500..5_000).await;
        self.server.network.cut();
        self.count("times the network was half-open", 1);
    }

    async fn crash(&mut self) -> Result<()> {
        let down = Duration::from_millis(self.rng.random_range(0..500));
        self.server.crash(sleep(down)).await?;
        self.count("server crashes", 1);
        Ok(())
    }

    async fn pause(&mut self, milliseconds: Range<u64>) {
        let pause = self.rng.random_range(milliseconds);
        sleep(Duration::from_millis(pause)).await;
    }

    fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }
}
