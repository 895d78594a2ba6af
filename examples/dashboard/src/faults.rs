//! The faults that the page can inject into the database and the network to it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use txn_chaos::FaultyServer;

use crate::bank::Bank;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    Lock,
    Terminate,
    Slow,
    Cut,
    HalfOpen,
    Crash,
}

/// The seconds for which an instantaneous fault is shown as active.
const SHOWN: u64 = 1;

/// A button on the page.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Button {
    fault: Fault,
    label: &'static str,
    description: &'static str,
    active: bool,
    /// The number of times that it has begun. A short fault may be over before the page hears of
    /// it.
    begun: u32,
    /// The reason that it is disabled.
    why_not: Option<String>,
}

pub(crate) struct Faults {
    bank: Arc<dyn Bank>,
    server: Result<Mutex<FaultyServer>, &'static str>,
    progress: watch::Sender<Progress>,
    over: watch::Sender<bool>,
}

/// The active fault, and the past ones.
#[derive(Default)]
struct Progress {
    /// Only one fault is active at a time, because two would end each other.
    active: Option<Fault>,
    /// The number of times that each fault has begun, in the order of `Fault::ALL`.
    begun: [u32; Fault::ALL.len()],
}

impl Fault {
    const ALL: [Self; 6] = [
        Self::Lock,
        Self::Terminate,
        Self::Slow,
        Self::Cut,
        Self::HalfOpen,
        Self::Crash,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Lock => "Hold a lock",
            Self::Terminate => "End all sessions",
            Self::Slow => "Slow network",
            Self::Cut => "Cut network",
            Self::HalfOpen => "Half-open network",
            Self::Crash => "Kill the server",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Lock => {
                "For 3 s another connection holds what every transfer needs to write, \
                 as a backup would"
            }
            Self::Terminate => "The server ends every session, as an administrator would",
            Self::Slow => "For 8 s every packet takes 20 ms longer",
            Self::Cut => "Every connection breaks, once",
            Self::HalfOpen => "For 5 s half of the connections stay open and lead nowhere",
            Self::Crash => "The server dies, and is back after 3 s",
        }
    }
}

impl Faults {
    /// Creates the faults on a server, or with the reason that there is none.
    pub(crate) fn new(bank: Arc<dyn Bank>, server: Result<FaultyServer, &'static str>) -> Self {
        Self {
            bank,
            server: server.map(Mutex::new),
            progress: watch::Sender::default(),
            over: watch::Sender::new(false),
        }
    }

    pub(crate) fn buttons(&self) -> Vec<Button> {
        let progress = self.progress.borrow();
        let button = |fault: Fault| Button {
            fault,
            label: fault.label(),
            description: fault.description(),
            active: progress.active == Some(fault),
            begun: progress.begun[fault as usize],
            why_not: self.why_not(fault, &progress),
        };
        Fault::ALL.map(button).into()
    }

    fn why_not(&self, fault: Fault, progress: &Progress) -> Option<String> {
        match &self.server {
            Err(why) if fault != Fault::Lock => return Some((*why).into()),
            _ => {}
        }
        let active = progress.active?;
        Some(format!("one at a time: “{}” goes on", active.label()))
    }

    /// Begins a fault, which ends on its own.
    pub(crate) fn begin(self: &Arc<Self>, fault: Fault) -> Result<(), String> {
        let mut denied = None;
        self.progress.send_if_modified(|progress| {
            denied = self.why_not(fault, progress);
            if denied.is_none() {
                progress.active = Some(fault);
                progress.begun[fault as usize] += 1;
            }
            denied.is_none()
        });
        if let Some(why_not) = denied {
            return Err(why_not);
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = this.run(fault).await {
                eprintln!("{}: {error:#}", fault.label());
            }
            this.progress.send_modify(|progress| progress.active = None);
        });
        Ok(())
    }

    /// Ends the active fault early, and waits for that.
    pub(crate) async fn stop(&self) {
        self.over.send_replace(true);
        let mut progress = self.progress.subscribe();
        // This cannot fail, because `self` owns the sender.
        let is_over = |progress: &Progress| progress.active.is_none();
        progress.wait_for(is_over).await.ok();
    }

    async fn run(&self, fault: Fault) -> Result<()> {
        let Ok(server) = &self.server else {
            return self.lock().await;
        };
        // Nobody else holds this lock, because only one fault is active at a time.
        let mut server = server.lock().await;
        match fault {
            Fault::Lock => self.lock().await?,
            Fault::Terminate => {
                self.bank.terminate().await?;
                self.pause(SHOWN).await;
            }
            Fault::Slow => {
                server.network.delay(Duration::from_millis(20));
                self.pause(8).await;
                server.network.delay(Duration::ZERO);
            }
            Fault::Cut => {
                server.network.cut();
                self.pause(SHOWN).await;
            }
            Fault::HalfOpen => {
                server.network.half_open(false);
                self.pause(5).await;
                server.network.cut();
            }
            Fault::Crash => server.crash(self.pause(3)).await?,
        }
        Ok(())
    }

    async fn lock(&self) -> Result<()> {
        const TIME: Duration = Duration::from_secs(3);
        loop {
            let held = self.bank.hold_lock(TIME).await.map_err(txn::Error::from);
            // A transaction that locks this much may be the victim of a deadlock.
            if !held.as_ref().is_err_and(txn::Error::is_deadlock) {
                return held.context("could not have the lock itself");
            }
        }
    }

    /// Waits for so many seconds, or until `stop` is called.
    async fn pause(&self, seconds: u64) {
        let mut over = self.over.subscribe();
        let over = over.wait_for(|over| *over);
        timeout(Duration::from_secs(seconds), over).await.ok();
    }
}
