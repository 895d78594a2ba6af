//! What one scope is to do, and how it is to end: drawn from the seed and its id alone, so that a
//! run can be repeated.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

/// Places of a body at which it may panic.
const CHECKPOINTS: u32 = 4;

/// One scope: a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub id: i64,
    pub debtor: i64,
    pub creditor: i64,
    pub cents: i64,
    pub shape: Shape,
    pub interruption: Interruption,
    /// The delay of its drop counts from here: else nearly all would be dropped while they wait for
    /// a session.
    pub from: Phase,
    /// Waits a moment between its statements.
    pub thinks: bool,
    /// Locks in any order, so that deadlocks happen.
    pub disorderly: bool,
}

/// What a body does beside the transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Nothing: the transfer alone, of joined scopes.
    Joined,
    /// A nested scope that may be given up alone.
    Nested(Option<Delay>),
    /// A nested scope that fails, and is undone alone.
    NestedFailure,
    /// A note in a transaction of its own, which stays whatever becomes of this one.
    RequiresNew,
    /// A statement that fails, its error swallowed.
    SwallowedError,
    /// A joined scope that fails, its error swallowed: must not commit.
    JoinedFailure,
    /// A statement given up by the body, which goes on: must not commit.
    DroppedStatement,
    /// A query that would run for 20 s.
    SlowQuery,
    /// Likewise, under the `timeout` of the annotation.
    TimeLimit,
    /// No transaction: one statement in autocommit mode.
    Autocommit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interruption {
    None,
    /// Dropped by `tokio::time::timeout`.
    Timeout(Duration),
    /// Dropped because its task is aborted.
    Abort(Delay),
    /// Dropped because it loses a `select!`.
    Select(Delay),
    /// Panics, at the checkpoint of this number.
    Panic(u32),
}

/// How long until a future is dropped. The timer is as coarse as a millisecond; yields to the
/// scheduler are finer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delay {
    Time(Duration),
    Yields(u32),
}

/// What a scope is doing, as it says itself. A drop is filed under the last phase that was entered,
/// so that a phase lasts from its own mark to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Waiting for a session.
    Acquire,
    /// Told from the first one by whether its drop left anything to settle; on sqlx alone it is
    /// not.
    Begin,
    /// Between statements.
    Body,
    /// In the middle of one.
    Statement,
    /// The body has returned `Ok`.
    Commit,
    /// The body has returned an error.
    Rollback,
}

impl Phase {
    pub const ALL: [Self; 6] = [
        Self::Acquire,
        Self::Begin,
        Self::Body,
        Self::Statement,
        Self::Commit,
        Self::Rollback,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Begin => "begin",
            Self::Body => "body",
            Self::Statement => "statement",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub seed: u64,
    pub accounts: i64,
    /// Whether a scope can have a second session for writing.
    pub second_writer: bool,
    /// Whether there are queries that would run for 20 s.
    pub slow_queries: bool,
}

impl Scenario {
    pub fn draw(id: i64, limits: Limits) -> Self {
        let mut rng = StdRng::seed_from_u64(limits.seed ^ id.unsigned_abs().rotate_left(32));
        let debtor = rng.random_range(1..=limits.accounts);
        let others = rng.random_range(1..limits.accounts);
        let shape = Shape::draw(&mut rng, limits);
        Self {
            id,
            debtor,
            creditor: (debtor + others - 1) % limits.accounts + 1,
            cents: rng.random_range(1..=1_000),
            shape,
            interruption: Interruption::draw(&mut rng, shape),
            from: draw_phase(&mut rng, shape),
            thinks: rng.random_bool(0.2),
            disorderly: rng.random_bool(0.03),
        }
    }

    /// A transfer that nothing happens to, of so little that no account runs dry.
    pub fn undisturbed(id: i64, limits: Limits) -> Self {
        Self {
            cents: 1,
            shape: Shape::Joined,
            interruption: Interruption::None,
            from: Phase::Acquire,
            thinks: false,
            disorderly: false,
            ..Self::draw(id, limits)
        }
    }

    /// Both halves of the transfer, in the order in which they are posted.
    pub fn postings(&self) -> [(i64, i64); 2] {
        let (debit, credit) = ((self.debtor, -self.cents), (self.creditor, self.cents));
        match self.disorderly || self.debtor < self.creditor {
            true => [debit, credit],
            false => [credit, debit],
        }
    }
}

impl Shape {
    fn draw(rng: &mut StdRng, limits: Limits) -> Self {
        match rng.random_range(0..100) {
            0..40 => Self::Joined,
            40..55 => Self::Nested(None),
            55..70 => Self::Nested(Some(Delay::draw(rng, 60))),
            70..80 if limits.second_writer => Self::RequiresNew,
            70..80 => Self::Joined,
            80..83 => Self::SwallowedError,
            83..86 => Self::JoinedFailure,
            86..91 if !limits.slow_queries => Self::Joined,
            86..88 => Self::DroppedStatement,
            88..90 => Self::SlowQuery,
            90..91 => Self::TimeLimit,
            _ => Self::Autocommit,
        }
    }
}

impl Interruption {
    fn draw(rng: &mut StdRng, shape: Shape) -> Self {
        match (shape, rng.random_range(0..100)) {
            // Nobody waits for 20 s.
            (Shape::SlowQuery, draw) => match draw % 3 {
                0 => Self::Timeout(milliseconds(rng, 5..40)),
                1 => Self::Abort(Delay::Time(milliseconds(rng, 5..40))),
                _ => Self::Select(Delay::Time(milliseconds(rng, 5..40))),
            },
            (Shape::TimeLimit, _) | (_, 0..31) => Self::None,
            (_, 31..45) => Self::Timeout(milliseconds(rng, 1..12)),
            (_, 45..70) => Self::Abort(Delay::draw(rng, 400)),
            (_, 70..95) => Self::Select(Delay::draw(rng, 400)),
            _ => Self::Panic(rng.random_range(0..CHECKPOINTS)),
        }
    }
}

impl Delay {
    fn draw(rng: &mut StdRng, yields: u32) -> Self {
        // As many in each decade: a scope's first steps take the least time.
        let yields = *[yields / 16, yields / 4, yields].choose(rng).unwrap_or(&1);
        match rng.random_bool(0.3) {
            true => Self::Time(milliseconds(rng, 1..12)),
            false => Self::Yields(rng.random_range(0..=yields)),
        }
    }

    pub async fn wait(self) {
        match self {
            Self::Time(time) => sleep(time).await,
            Self::Yields(yields) => {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

fn draw_phase(rng: &mut StdRng, shape: Shape) -> Phase {
    match (shape, rng.random_range(0..100)) {
        (Shape::SlowQuery, _) => Phase::Body,
        (Shape::Autocommit | Shape::TimeLimit, _) | (_, 0..30) => Phase::Acquire,
        (_, 30..80) => Phase::Body,
        _ => Phase::Commit,
    }
}

fn milliseconds(rng: &mut StdRng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}
