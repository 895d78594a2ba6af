//! What one scope is to do, and how it is to end: drawn from the seed and its id alone, so that a run can be repeated.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

use crate::record::Phase;

/// Places of a body at which it may panic.
const CHECKPOINTS: u32 = 4;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) debtor: i64,
    pub(crate) creditor: i64,
    pub(crate) cents: i64,
    pub(crate) shape: Shape,
    pub(crate) ending: Ending,
    /// The moment of its drop counts from here: else nearly all would be dropped while they wait for a session.
    pub(crate) from: Phase,
    /// Waits a moment between its statements.
    pub(crate) thinks: bool,
    /// Locks in any order, so that deadlocks happen.
    pub(crate) disorderly: bool,
}

/// What a body does beside the transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Nothing: the transfer alone, of joined scopes.
    Joined,
    /// A nested scope that may be given up alone.
    Nested(Option<Moment>),
    /// A note in a transaction of its own, which stays whatever becomes of this one.
    RequiresNew,
    /// A statement that fails, its error swallowed.
    Swallowed,
    /// A joined scope that fails, its error swallowed: must not commit.
    Refused,
    /// A statement given up by the body, which goes on: must not commit.
    Abandoned,
    /// A query that would run for 20 s.
    Slow,
    /// Likewise, under the `timeout` of the annotation.
    Hurried,
    /// No transaction: one statement in autocommit mode.
    Autocommit,
}

/// What becomes of the future.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    Live,
    Timeout(Duration),
    Abort(Moment),
    Select(Moment),
    /// At the checkpoint of this number.
    Panic(u32),
}

/// How long until a future is dropped. The timer is as coarse as a millisecond; turns of the scheduler are finer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Moment {
    After(Duration),
    Turns(u32),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) seed: u64,
    pub(crate) accounts: i64,
    /// Whether a scope can have a second session for writing.
    pub(crate) second_writer: bool,
    /// Whether there are queries that would run for 20 s.
    pub(crate) slow: bool,
}

impl Order {
    pub(crate) fn draw(id: i64, range: Range) -> Self {
        let mut rng = StdRng::seed_from_u64(range.seed ^ id.unsigned_abs().rotate_left(32));
        let debtor = rng.random_range(1..=range.accounts);
        let others = rng.random_range(1..range.accounts);
        let shape = Shape::draw(&mut rng, range);
        Self {
            id,
            debtor,
            creditor: (debtor + others - 1) % range.accounts + 1,
            cents: rng.random_range(1..=1_000),
            shape,
            ending: Ending::draw(&mut rng, shape),
            from: from(&mut rng, shape),
            thinks: rng.random_bool(0.2),
            disorderly: rng.random_bool(0.03),
        }
    }

    /// A transfer that nothing happens to, of so little that no account runs dry.
    pub(crate) fn undisturbed(id: i64, range: Range) -> Self {
        Self {
            cents: 1,
            shape: Shape::Joined,
            ending: Ending::Live,
            from: Phase::Acquire,
            thinks: false,
            disorderly: false,
            ..Self::draw(id, range)
        }
    }

    /// Both halves of the transfer, in the order in which they are posted.
    pub(crate) fn postings(&self) -> [(i64, i64); 2] {
        let (debit, credit) = ((self.debtor, -self.cents), (self.creditor, self.cents));
        match self.disorderly || self.debtor < self.creditor {
            true => [debit, credit],
            false => [credit, debit],
        }
    }
}

impl Shape {
    fn draw(rng: &mut StdRng, range: Range) -> Self {
        match rng.random_range(0..100) {
            0..40 => Self::Joined,
            40..55 => Self::Nested(None),
            55..70 => Self::Nested(Some(Moment::draw(rng, 60))),
            70..80 if range.second_writer => Self::RequiresNew,
            70..80 => Self::Joined,
            80..83 => Self::Swallowed,
            83..86 => Self::Refused,
            86..91 if !range.slow => Self::Joined,
            86..88 => Self::Abandoned,
            88..90 => Self::Slow,
            90..91 => Self::Hurried,
            _ => Self::Autocommit,
        }
    }
}

impl Ending {
    fn draw(rng: &mut StdRng, shape: Shape) -> Self {
        match (shape, rng.random_range(0..100)) {
            // Nobody waits for 20 s.
            (Shape::Slow, draw) => match draw % 3 {
                0 => Self::Timeout(milliseconds(rng, 5..40)),
                1 => Self::Abort(Moment::After(milliseconds(rng, 5..40))),
                _ => Self::Select(Moment::After(milliseconds(rng, 5..40))),
            },
            (Shape::Hurried, _) | (_, 0..31) => Self::Live,
            (_, 31..45) => Self::Timeout(milliseconds(rng, 1..12)),
            (_, 45..70) => Self::Abort(Moment::draw(rng, 400)),
            (_, 70..95) => Self::Select(Moment::draw(rng, 400)),
            _ => Self::Panic(rng.random_range(0..CHECKPOINTS)),
        }
    }
}

impl Moment {
    fn draw(rng: &mut StdRng, turns: u32) -> Self {
        // As many in each decade: a scope's first steps take the least time.
        let turns = *[turns / 16, turns / 4, turns].choose(rng).unwrap_or(&1);
        match rng.random_bool(0.3) {
            true => Self::After(milliseconds(rng, 1..12)),
            false => Self::Turns(rng.random_range(0..=turns)),
        }
    }

    pub(crate) async fn wait(self) {
        match self {
            Self::After(time) => sleep(time).await,
            Self::Turns(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// `None` if it was given up.
    pub(crate) async fn cut<F: Future>(self, future: F) -> Option<F::Output> {
        cut(future, self.wait()).await
    }
}

/// `None` if the moment came first.
pub(crate) async fn cut<F: Future>(
    future: F,
    moment: impl Future<Output = ()>,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = moment => None,
    }
}

fn from(rng: &mut StdRng, shape: Shape) -> Phase {
    match (shape, rng.random_range(0..100)) {
        (Shape::Slow, _) => Phase::Body,
        (Shape::Autocommit | Shape::Hurried, _) | (_, 0..30) => Phase::Acquire,
        (_, 30..80) => Phase::Body,
        _ => Phase::Commit,
    }
}

fn milliseconds(rng: &mut StdRng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}
