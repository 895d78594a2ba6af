//! What happens to a server of our own, and to the way to it, while the storm lasts.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;
use txn_test_servers::Server;

use crate::network::Network;

pub(crate) struct Faults {
    pub(crate) server: Server,
    pub(crate) network: Network,
    pub(crate) rng: StdRng,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl Faults {
    pub(crate) async fn new(server: Server, port: u16, seed: u64) -> Result<Self> {
        Ok(Self {
            server,
            network: Network::to(port).await?,
            rng: StdRng::seed_from_u64(seed),
            counts: BTreeMap::new(),
        })
    }

    /// Until `over`; then everything is as it should be again. `terminate` ends some sessions on the server.
    pub(crate) async fn rage<T: Future<Output = u64>>(
        &mut self,
        over: impl Fn() -> bool,
        terminate: impl Fn() -> T,
    ) -> Result<()> {
        while !over() {
            self.pause(100..1_000).await;
            match self.rng.random_range(0..100) {
                0..40 => self.count("sessions terminated", terminate().await),
                40..55 => self.slow_down().await,
                55..70 => self.cut(),
                70..85 => self.half_open().await,
                _ => self.crash()?,
            }
        }
        self.network.cut();
        Ok(())
    }

    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        let pause = self.rng.random_range(milliseconds);
        sleep(Duration::from_millis(pause)).await;
    }

    async fn slow_down(&mut self) {
        let delay = self.rng.random_range(1..30);
        self.network.delay(Duration::from_millis(delay));
        self.pause(200..2_000).await;
        self.network.delay(Duration::ZERO);
        self.count("times the network was delayed", 1);
    }

    fn cut(&mut self) {
        self.network.cut();
        self.count("times the network was cut", 1);
    }

    async fn half_open(&mut self) {
        let answers_only = self.rng.random_bool(0.5);
        self.network.half_open(answers_only);
        self.pause(500..5_000).await;
        self.network.cut();
        self.count("times the network was half-open", 1);
    }

    /// What it has acknowledged must be there when it is back.
    fn crash(&mut self) -> Result<()> {
        let down = Duration::from_millis(self.rng.random_range(0..500));
        tokio::task::block_in_place(|| {
            self.server.crash()?;
            std::thread::sleep(down);
            self.server.start()
        })?;
        self.count("server crashes", 1);
        Ok(())
    }

    fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }
}
