//! The plan of one scope: what it does, and how it ends. It is drawn from the seed and the scope's
//! id alone, so that a run can be repeated.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

/// The number of places in a body at which it may panic.
const CHECKPOINTS: u32 = 4;

/// The plan of one scope, which is a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub id: i64,
    pub debtor: i64,
    pub creditor: i64,
    pub cents: i64,
    pub shape: Shape,
    pub interruption: Interruption,
    /// The phase in which the delay of its drop starts. Without it, nearly all scopes would be
    /// dropped while they wait for a session.
    pub from: Phase,
    /// True if it waits a moment between its statements.
    pub thinks: bool,
    /// True if it locks in any order, so that deadlocks happen.
    pub disorderly: bool,
}

/// The work of a body in addition to the transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Only the transfer, in joined scopes.
    Joined,
    /// A nested scope, which may be dropped alone.
    Nested(Option<Delay>),
    /// A nested scope that fails, and is rolled back alone.
    NestedFailure,
    /// A note in a separate transaction, which stays whatever the outcome of this one.
    RequiresNew,
    /// A statement that fails, and whose error is ignored.
    SwallowedError,
    /// A joined scope that fails, and whose error is ignored. The transaction must not commit.
    JoinedFailure,
    /// A statement that the body drops before it goes on. The transaction must not commit.
    DroppedStatement,
    /// A query that would run for 20 s.
    SlowQuery,
    /// A query that would run for 20 s, under the `timeout` of the annotation.
    TimeLimit,
    /// One statement in autocommit mode, without a transaction.
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
    /// Panics at the checkpoint of this number.
    Panic(u32),
}

/// The delay before a future is dropped. The timer's resolution is a millisecond, and yields to the
/// scheduler are finer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delay {
    Time(Duration),
    Yields(u32),
}

/// The phase that a scope has entered last. A drop counts for that phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Waiting for a session.
    Acquire,
    /// Sending BEGIN. It differs from `Acquire` in that its drop leaves something to settle. On
    /// sqlx alone the two cannot be told apart.
    Begin,
    /// Between statements.
    Body,
    /// During a statement.
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
    /// True if a scope can write on a second session.
    pub second_writer: bool,
    /// True if scenarios with queries of 20 s are drawn.
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

    /// Plans a transfer without interruption, and of so little money that no account is overdrawn.
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

    /// Returns both halves of the transfer, in the order in which they are posted.
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
            // A slow query is always interrupted.
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
        // Small numbers are as likely as large ones, because the first steps of a scope take the
        // least time.
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
