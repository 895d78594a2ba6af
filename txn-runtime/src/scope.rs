//! A scope: the extent of one annotated call, from opening to commit, rollback or join.

use std::future::Future;
use std::time::Duration;

use tracing::Span;

mod inside;
mod trace;

use self::inside::{Joined, Nested};
use self::trace::Trace;
use crate::deadline::{Deadline, Phase};
use crate::engine::Engine;
use crate::error::Error;
use crate::hooks::Conclusion;
use crate::options::Options;
use crate::outcome::Verdict;
use crate::retry::Attempts;
use crate::{Db, Tx};

const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// An open scope, as the expansion sees it.
pub trait Scope<T>: Send {
    /// The session of the body.
    fn tx(&mut self) -> &mut T;
    /// The span of the body.
    fn span(&self) -> Span;
    /// When its time is over.
    fn deadline(&self) -> Deadline;
    /// Ends the scope because its time is over, and waits for that.
    fn expire(self) -> impl Future<Output = Error> + Send;
    /// Ends the scope as its outcome says. `reason` is the text of the error that it failed with.
    fn end(
        self,
        verdict: Verdict,
        reason: Option<String>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    /// Ends the scope, and opens it again if a conflict was to blame and it has attempts left.
    fn end_or_retry(
        self,
        verdict: Verdict,
        reason: Option<String>,
    ) -> impl Future<Output = Next<Self>> + Send
    where
        Self: Sized;
}

/// What follows the end of a scope with `retry`.
#[derive(Debug)]
pub enum Next<S> {
    /// Its outcome stands.
    Done(Result<(), Error>),
    /// Its body is to be run again, in this scope.
    Again(S),
}

/// The one scope there is: it began a transaction, set a savepoint, or joined.
pub struct Entered<'a, DB: Engine> {
    body: Body<'a, DB>,
    options: &'static Options,
    deadline: Option<Deadline>,
    attempts: Attempts,
    /// Of this scope, among those that its caller is in.
    depth: u32,
    trace: Trace,
}

enum Body<'a, DB: Engine> {
    /// Boxed: it would make the future of every joined scope as large as its own.
    Root(Box<Tx<DB>>),
    Nested(Nested<'a, DB>),
    Joined(Joined<'a, DB>),
}

impl<'a, DB: Engine> Entered<'a, DB> {
    pub(crate) async fn begin(
        db: &Db<DB>,
        options: &'static Options,
        depth: u32,
    ) -> Result<Self, Error> {
        let deadline = options.timeout.map(Deadline::after);
        let attempts = Attempts::new(options.retry);
        Self::attempt(db, options, depth, deadline, attempts).await
    }

    /// Begins; where there are attempts left, again if that failed for a reason that may pass.
    async fn attempt(
        db: &Db<DB>,
        options: &'static Options,
        depth: u32,
        deadline: Option<Deadline>,
        mut attempts: Attempts,
    ) -> Result<Self, Error> {
        loop {
            let trace = Trace::new::<DB>(options, depth, attempts.count());
            let error = match Tx::begin(db, options, deadline).await {
                Ok(mut tx) => {
                    tx.set_attempt(attempts.count());
                    return Ok(Self {
                        body: Body::Root(Box::new(tx)),
                        options,
                        deadline,
                        attempts,
                        depth,
                        trace,
                    });
                }
                Err(error) => error,
            };
            if !error.is_retryable() || !pause(&mut attempts, deadline).await {
                return Err(error.after(attempts.tried()));
            }
        }
    }

    pub(crate) async fn nest(tx: &'a mut Tx<DB>, options: &'static Options) -> Result<Self, Error> {
        let opening = Inside::new::<DB>(options, tx.depth() + 1);
        let outer = tx.push(options.name).await?;
        let outer = Some(outer);
        Ok(opening.with(Body::Nested(Nested { tx, outer })))
    }

    pub(crate) fn join(tx: &'a mut Tx<DB>, options: &'static Options) -> Self {
        let opening = Inside::new::<DB>(options, tx.depth());
        opening.with(Body::Joined(Joined::enter(tx, options.name)))
    }
}

/// Pauses before the next attempt; false if there is none left, or no time for it.
async fn pause(attempts: &mut Attempts, deadline: Option<Deadline>) -> bool {
    match deadline {
        None => attempts.next().await,
        Some(deadline) => {
            let next = tokio::time::timeout_at(deadline.at, attempts.next());
            next.await.unwrap_or(false)
        }
    }
}

/// A scope inside of a transaction, before it has entered. It is not run again: its root is, if that asks for it.
struct Inside {
    options: &'static Options,
    deadline: Option<Deadline>,
    depth: u32,
    trace: Trace,
}

impl Inside {
    fn new<DB: Engine>(options: &'static Options, depth: u32) -> Self {
        Self {
            options,
            deadline: options.timeout.map(Deadline::after),
            depth,
            trace: Trace::new::<DB>(options, depth, 1),
        }
    }

    fn with<DB: Engine>(self, body: Body<'_, DB>) -> Entered<'_, DB> {
        Entered {
            body,
            options: self.options,
            deadline: self.deadline,
            attempts: Attempts::new(None),
            depth: self.depth,
            trace: self.trace,
        }
    }
}

impl<DB: Engine> Scope<Tx<DB>> for Entered<'_, DB> {
    fn tx(&mut self) -> &mut Tx<DB> {
        match &mut self.body {
            Body::Root(tx) => tx,
            Body::Nested(nested) => nested.tx,
            Body::Joined(joined) => joined.tx,
        }
    }

    fn span(&self) -> Span {
        self.trace.span.clone()
    }

    fn deadline(&self) -> Deadline {
        // Asked for only where the annotation has a timeout.
        let forever = || Deadline::after(FOREVER);
        self.deadline.unwrap_or_else(forever)
    }

    async fn expire(self) -> Error {
        let name = self.options.name;
        let deadline = self.deadline();
        let reason = Error::timeout(name, deadline.over(Phase::Body)).to_string();
        let ended = self.end(Verdict::Rollback, Some(reason)).await;
        // The rollback is part of what took so long.
        ended
            .err()
            .unwrap_or_else(|| Error::timeout(name, deadline.over(Phase::Body)))
    }

    async fn end_or_retry(self, verdict: Verdict, reason: Option<String>) -> Next<Self> {
        let Body::Root(tx) = &self.body else {
            return Next::Done(self.end(verdict, reason).await);
        };
        let (db, depth, conflict) = (tx.db().clone(), self.depth, tx.met_conflict());
        let (options, deadline, mut attempts) = (self.options, self.deadline, self.attempts);
        let result = self.end(verdict, reason).await;
        if may_be_retried(verdict, &result, conflict) && pause(&mut attempts, deadline).await {
            return match Self::attempt(&db, options, depth, deadline, attempts).await {
                Ok(next) => Next::Again(next),
                Err(error) => Next::Done(Err(error)),
            };
        }
        Next::Done(result.map_err(|error| error.after(attempts.tried())))
    }

    async fn end(mut self, verdict: Verdict, reason: Option<String>) -> Result<(), Error> {
        let conclusion = Conclusion { verdict, reason };
        let (result, kept) = match self.body {
            Body::Root(tx) => (tx.end(conclusion).await, "committed"),
            Body::Nested(nested) => (nested.end(conclusion).await, "kept"),
            Body::Joined(joined) => {
                joined.end(conclusion);
                (Ok(()), "joined")
            }
        };
        self.trace.record(match (verdict, &result) {
            (_, Err(_)) => "failed",
            (Verdict::Commit, Ok(())) => kept,
            (Verdict::Rollback, Ok(())) => "rolled back",
        });
        result
    }
}

/// Whether what a root scope came to is due to a conflict. Never after a commit that may have happened.
fn may_be_retried(verdict: Verdict, result: &Result<(), Error>, conflict: bool) -> bool {
    match result {
        Ok(()) => verdict == Verdict::Rollback && conflict,
        Err(error) => !error.is_commit_unknown() && (conflict || error.is_retryable()),
    }
}
