//! The gate before the sessions: who may wait for one, and for how long; and whether it makes sense to open one.
//!
//! - `codel`, `queue`: under lasting overload, callers that wait are refused early.
//! - `circuit`, `switch`: while the server is out of reach, callers that need a new connection fail at once.
//!
//! `codel` and `circuit` decide, and know nothing of clocks: they are told what happened, and when.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

mod circuit;
mod codel;
mod queue;
mod settings;
mod switch;

use self::codel::Answer;
use self::queue::Queue;
pub(crate) use self::settings::Settings;
pub use self::switch::Breaker;
pub(crate) use self::switch::{Attempt, Switch};
use crate::model::request::Need;
use crate::observe::opening::{self, Stage};

/// Why a caller did not get a place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rejection {
    /// It waited until its deadline.
    TimedOut,
    /// Under overload, after this time.
    Shed { waited: Duration },
    /// As many as may wait do.
    Full,
}

/// Where callers wait for a place.
#[derive(Debug)]
pub(crate) struct Gate {
    settings: Settings,
    sessions: Queue,
    /// Of those who write, where one can at a time: readers that need not wait say nothing of them.
    writers: Option<Queue>,
    waiting: AtomicUsize,
}

impl Gate {
    pub(crate) fn new(settings: Settings, system: &'static str, one_writer: bool) -> Self {
        let queue = || Queue::new(&settings, system);
        Self {
            sessions: queue(),
            writers: one_writer.then(queue),
            waiting: AtomicUsize::new(0),
            settings,
        }
    }

    /// The place, if it is to be had at once; else what its caller is about.
    pub(crate) async fn at_once<T>(
        &self,
        need: &Need,
        mut place: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Stage> {
        let place = poll_fn(|cx| {
            let place = opening::poll_for_certain(place.as_mut(), cx);
            Poll::Ready(place)
        })
        .await;
        if let (Ok(_), Some(queue)) = (&place, self.queue(need)) {
            queue.is_free();
        }
        place
    }

    /// Waits for `place` for as long as that makes sense. One that is given is never refused.
    ///
    /// Who holds a session already goes by: what it has done would be lost, and others may wait for it.
    pub(crate) async fn pass<T>(
        &self,
        need: &Need,
        stage: Stage,
        deadline: Instant,
        mut place: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Rejection> {
        if let (Stage::Queue, 0) = (stage, need.held) {
            let _waiting = self.room()?;
            let queue = self.queue(need);
            if let Some(place) = wait(queue, deadline, place.as_mut()).await? {
                return Ok(place);
            }
        }
        let placed = timeout_at(deadline, place).await;
        placed.map_err(|_| Rejection::TimedOut)
    }

    pub(crate) fn is_shedding(&self) -> bool {
        let mut queues = std::iter::once(&self.sessions).chain(&self.writers);
        self.settings.target.is_some() && queues.any(Queue::is_shedding)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// `None` for who is not refused.
    fn queue(&self, need: &Need) -> Option<&Queue> {
        if self.settings.target.is_none() || need.held > 0 {
            return None;
        }
        let writers = self.writers.as_ref().filter(|_| need.writes);
        writers.or(Some(&self.sessions))
    }

    fn room(&self) -> Result<Waiting<'_>, Rejection> {
        let waiting = Waiting(&self.waiting);
        let others = self.waiting.fetch_add(1, Ordering::Relaxed);
        match self.settings.max_waiting {
            Some(max) if others >= max => Err(Rejection::Full),
            _ => Ok(waiting),
        }
    }
}

/// Waits in the queue; `None` if a session is being opened now, which is no such wait.
async fn wait<F: Future>(
    queue: Option<&Queue>,
    deadline: Instant,
    mut place: Pin<&mut F>,
) -> Result<Option<F::Output>, Rejection> {
    let since = Instant::now();
    let first_question = queue.map(|queue| queue.first_question(since));
    let mut ask = first_question.unwrap_or(deadline);
    loop {
        let turn = poll_fn(|cx| match opening::poll(place.as_mut(), cx) {
            Ok(place) => Poll::Ready(Some(place)),
            Err(Stage::Opening) => Poll::Ready(None),
            Err(Stage::Queue) => Poll::Pending,
        });
        let turn = timeout_at(ask.min(deadline), turn).await;
        match (turn, queue) {
            (Ok(place), queue) => {
                queue.inspect(|queue| queue.served(since));
                return Ok(place);
            }
            (Err(_), Some(queue)) if Instant::now() < deadline => match queue.ask(since) {
                Answer::Wait(until) => ask = until,
                Answer::Leave { waited } => return Err(Rejection::Shed { waited }),
            },
            _ => return Err(Rejection::TimedOut),
        }
    }
}

/// Counted among those who wait until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
