//! Trees of scopes fail, are given up or dropped at random. A seed makes each tree the same again.

use std::pin::Pin;

use tokio::task::JoinSet;
use txn::{Db, Error, Tx, transactional};

use super::super::{DB, insert};
use crate::support::drop_points::poll_at_most;
use crate::support::drop_trial::Trial;
use crate::support::observer::Observed;

/// A xorshift generator; random enough, and the same everywhere.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit).try_into().unwrap()
    }
}

/// The action of a scope in one of its steps.
#[derive(Clone, Debug)]
enum Step {
    Insert,
    Nested {
        steps: Vec<Step>,
        end: End,
    },
    Joined(Vec<Step>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Well,
    Error,
    GivenUp,
    /// The scope inside is dropped after so many polls.
    Dropped(usize),
}

fn steps(dice: &mut Dice, depth: u64) -> Vec<Step> {
    let many = 1 + dice.below(4);
    let step = |_| match dice.below(2 + depth) {
        0 | 1 => Step::Insert,
        2 => Step::Joined(steps(dice, depth - 1)),
        _ => Step::Nested {
            steps: steps(dice, depth - 1),
            end: match dice.below(7) {
                0 => End::Error,
                1 => End::GivenUp,
                2..=4 => End::Dropped(dice.below(12)),
                _ => End::Well,
            },
        },
    };
    (0..many).map(step).collect()
}

/// The rows that are there if the transaction commits, in the order of their steps.
struct Ledger {
    next: i64,
    rows: Vec<i64>,
    /// The body of the root has ended: it commits, whatever becomes of its caller.
    complete: bool,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

fn run<'a>(tx: &'a mut Tx<DB>, steps: &'a [Step], ledger: &'a mut Ledger) -> Running<'a> {
    Box::pin(async move {
        for step in steps {
            match step {
                Step::Insert => {
                    insert(tx, ledger.next).await?;
                    ledger.rows.push(ledger.next);
                    ledger.next += 1;
                }
                Step::Joined(steps) => joined(&mut *tx, steps, ledger).await?,
                Step::Nested { steps, end } => run_nested(tx, steps, *end, ledger).await?,
            }
        }
        Ok(())
    })
}

async fn run_nested(
    tx: &mut Tx<DB>,
    steps: &[Step],
    end: End,
    ledger: &mut Ledger,
) -> Result<(), Error> {
    let before = ledger.rows.len();
    let polls = match end {
        End::Dropped(polls) => polls,
        _ => usize::MAX,
    };
    let ended = poll_at_most(polls, Box::pin(nested(tx, steps, end, ledger))).await;
    match (ended, end) {
        (Some(Ok(())), End::Well | End::Dropped(_)) => return Ok(()),
        (Some(Err(error)), End::Well) => return Err(error),
        _ => {}
    }
    ledger.rows.truncate(before);
    ledger.next += 100; // whatever was sent, a key is not used twice
    Ok(())
}

#[transactional]
async fn joined(tx: &mut Tx<DB>, steps: &[Step], ledger: &mut Ledger) -> Result<(), Error> {
    run(tx, steps, ledger).await
}

#[transactional(nested)]
async fn nested(
    tx: &mut Tx<DB>,
    steps: &[Step],
    end: End,
    ledger: &mut Ledger,
) -> Result<(), Error> {
    run(tx, steps, ledger).await?;
    match end {
        End::Error => return Err(sqlx::Error::RowNotFound.into()),
        End::GivenUp => tx.set_rollback_only("on second thoughts"),
        End::Well | End::Dropped(_) => {}
    }
    Ok(())
}

#[transactional]
async fn root(tx: &mut Tx<DB>, steps: &[Step], ledger: &mut Ledger) -> Result<(), Error> {
    run(&mut *tx, steps, ledger).await?;
    ledger.complete = true;
    Ok(())
}

/// Runs one tree to its end, or drops it as a whole after so many polls. Returns the rows that must
/// be there.
async fn grow(db: &Db<DB>, seed: u64, polls: usize) -> Grown {
    let steps = steps(&mut Dice(seed), 3);
    let mut ledger = Ledger {
        next: first_key(seed),
        rows: Vec::new(),
        complete: false,
    };
    let ended = poll_at_most(polls, Box::pin(root(db, &steps, &mut ledger))).await;
    // Nested scopes that were dropped in flight may have cost the connection.
    let may_be_refused = DB::DROP_COSTS_SESSION;
    let refused = match ended {
        Some(Ok(())) => false,
        Some(Err(error)) => {
            assert!(may_be_refused && error.is_aborted(), "seed {seed}: {error}, {steps:?}");
            ledger.complete = false;
            true
        }
        None => may_be_refused,
    };
    let rows = if ledger.complete { ledger.rows } else { Vec::new() };
    Grown { seed, rows, refused }
}

struct Grown {
    seed: u64,
    rows: Vec<i64>,
    refused: bool,
}

impl Grown {
    fn assert_is(&self, written: &[i64]) {
        let nothing = self.refused && written.is_empty();
        assert!(
            nothing || written == self.rows,
            "seed {}: {written:?} for {:?}",
            self.seed,
            self.rows
        );
    }
}

fn first_key(seed: u64) -> i64 {
    i64::try_from(seed).unwrap() * 100_000
}

fn polls(dice: &mut Dice) -> usize {
    match dice.below(3) {
        0 => dice.below(150),
        _ => usize::MAX,
    }
}

#[tokio::test]
async fn random_patterns() {
    let mut trial = Trial::<DB>::of_sessions(2).await.in_pieces_of(4);
    let mut dice = Dice(0x5eed);
    for seed in 1..=250 {
        let growing = grow(&trial, seed, polls(&mut dice));
        let grown = trial.dripping(growing).await;
        trial.assert_recovered(("seed", seed)).await;
        grown.assert_is(&trial.ids().await);
        trial.clear().await;
    }
}

/// The same trees, side by side on several threads; each has keys of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_patterns_side_by_side() {
    let mut trial = Trial::<DB>::of_sessions(4).await;
    let mut tasks = JoinSet::new();
    let mut dice = Dice(0xface);
    for seed in 1..=200 {
        let (db, polls) = (Db::clone(&trial), polls(&mut dice));
        tasks.spawn(async move { grow(&db, seed, polls).await });
    }
    let all_grown = tasks.join_all().await;
    trial.assert_recovered("all have ended").await;
    let all = trial.ids().await;
    for grown in all_grown {
        let keys = first_key(grown.seed)..first_key(grown.seed + 1);
        let written = all.iter().filter(|id| keys.contains(id));
        grown.assert_is(&written.copied().collect::<Vec<_>>());
    }
}
