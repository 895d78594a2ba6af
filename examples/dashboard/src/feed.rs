//! The frames that the page is sent, twice a second.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use txn::{Breaker, Holder, OpenScope, WaitsFor};

use crate::Core;
use crate::audit::Audit;
use crate::faults::Button;
use crate::figures::Figures;

const EVERY: Duration = Duration::from_millis(500);
/// The number of past frames that a new page gets, which is one minute.
const KEPT: usize = 120;
/// The number of open scopes that are listed. They are the oldest ones.
const LISTED: usize = 12;

#[derive(Serialize)]
struct Frame {
    /// The number of this frame.
    number: u64,
    sessions: Sessions,
    breaker: &'static str,
    shedding: bool,
    figures: Figures,
    open: Open,
    audit: Option<Audit>,
    workers: usize,
    storm: bool,
    faults: Vec<Button>,
}

#[derive(Serialize)]
struct Sessions {
    max: usize,
    idle: usize,
    in_use: usize,
    settling: usize,
    waiting: usize,
}

/// The past frames, and a channel for new ones.
pub(crate) struct Feed {
    kept: Mutex<VecDeque<Arc<str>>>,
    live: broadcast::Sender<Arc<str>>,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            kept: Mutex::default(),
            live: broadcast::Sender::new(16),
        }
    }

    fn send(&self, frame: Arc<str>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&frame));
        // It is not an error if nobody looks at the page.
        self.live.send(frame).ok();
    }

    /// Returns the past and new frames. A reader that is too slow misses some.
    pub(crate) fn frames(&self) -> impl Stream<Item = Arc<str>> + use<> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (past, live) = (kept.clone(), self.live.subscribe());
        let live = stream::unfold(live, |mut live| async {
            loop {
                match live.recv().await {
                    Ok(frame) => return Some((frame, live)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        stream::iter(past).chain(live)
    }
}

/// Sends frames until it is dropped.
pub(crate) async fn feed(core: Arc<Core>) {
    let open = watch::Sender::new(Vec::new());
    tokio::join!(list_scopes(&core, &open), send_frames(&core, &open));
}

/// Lists the open scopes. This runs separately, because the server is asked for the holders of
/// locks and may be slow.
async fn list_scopes(core: &Core, open: &watch::Sender<Vec<OpenScope>>) {
    loop {
        open.send_replace(core.bank.scopes().await);
        sleep(EVERY / 2).await;
    }
}

async fn send_frames(core: &Core, open: &watch::Sender<Vec<OpenScope>>) {
    let (mut before, mut then) = (core.exposition(), Instant::now());
    let mut ticks = interval_at(then + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0.. {
        ticks.tick().await;
        let (now, time) = (core.exposition(), then.elapsed());
        let figures = Figures::between(&before, &now, time);
        let frame = frame(core, number, figures, &open.borrow());
        let frame = serde_json::to_string(&frame).expect("a frame is plain data");
        core.feed.send(frame.into());
        (before, then) = (now, then + time);
    }
}

fn frame(core: &Core, number: u64, figures: Figures, open: &[OpenScope]) -> Frame {
    let status = core.bank.status();
    Frame {
        number,
        sessions: Sessions {
            max: status.max,
            idle: status.idle,
            in_use: status.in_use,
            settling: status.settling,
            waiting: status.waiting,
        },
        breaker: match status.breaker {
            Breaker::Closed => "closed",
            Breaker::HalfOpen => "half-open",
            _ => "open",
        },
        shedding: status.shedding,
        figures,
        open: Open::new(open),
        audit: *core.audit.borrow(),
        workers: core.load.workers(),
        storm: core.load.storms(),
        faults: core.faults.buttons(),
    }
}

/// The open scopes: their number, and the oldest of them.
#[derive(Serialize)]
struct Open {
    count: usize,
    oldest: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    place: Option<String>,
    milliseconds: u128,
    state: String,
    session: Option<u64>,
    statements: u64,
    /// The resource that the scope waits for, and its holders.
    waits: Option<String>,
}

impl Open {
    fn new(scopes: &[OpenScope]) -> Self {
        Self {
            count: scopes.len(),
            oldest: scopes.iter().take(LISTED).map(line).collect(),
        }
    }
}

fn line(scope: &OpenScope) -> Line {
    Line {
        name: scope.name,
        place: scope.location.map(|location| location.to_string()),
        milliseconds: scope.age.as_millis(),
        state: scope.state.to_string(),
        session: scope.session,
        statements: scope.statements,
        waits: scope.waits_for.map(|what| waits(what, &scope.waits_on)),
    }
}

/// Describes what a scope waits for. It names fewer holders than `OpenScope` does, because the
/// table shows them.
fn waits(what: WaitsFor, holders: &[Holder]) -> String {
    let what = match what {
        WaitsFor::Session => "a session",
        WaitsFor::Connection => "the server to open a session",
        WaitsFor::Turn => "its turn to write",
        _ => "a lock",
    };
    match holders {
        [] => what.into(),
        [one] => format!("{what}, held by {}", holder(one)),
        [one, more @ ..] => format!("{what}, held by {} and {} more", holder(one), more.len()),
    }
}

fn holder(holder: &Holder) -> String {
    match (holder.name, holder.session) {
        (Some(name), Some(session)) => format!("{name} in session {session}"),
        (Some(name), None) => name.into(),
        (None, Some(session)) => format!("session {session}, which is not of this pool"),
        (None, None) => "somebody unknown".into(),
    }
}
