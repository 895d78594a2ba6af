//! A scope: the extent of one annotated call, from opening to commit, rollback or join.

use std::future::Future;
use std::time::{Duration, Instant};

use tracing::Span;

use crate::deadline::{Deadline, Phase};
use crate::engine::Engine;
use crate::error::{Cause, Error};
use crate::hooks::Conclusion;
use crate::options::Options;
use crate::outcome::Verdict;
use crate::tx::Level;
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
}

/// The one scope there is: it began a transaction, set a savepoint, or joined.
pub struct Entered<'a, DB: Engine> {
    body: Body<'a, DB>,
    options: &'static Options,
    deadline: Option<Deadline>,
    trace: Trace,
}

enum Body<'a, DB: Engine> {
    Root(Tx<DB>),
    Nested(Nested<'a, DB>),
    Joined(Joined<'a, DB>),
}

impl<'a, DB: Engine> Entered<'a, DB> {
    pub(crate) async fn begin(
        db: &Db<DB>,
        options: &'static Options,
        depth: u32,
    ) -> Result<Self, Error> {
        let opening = Opening::new::<DB>(options, depth);
        let tx = Tx::begin(db, options, opening.deadline).await?;
        Ok(opening.with(Body::Root(tx)))
    }

    pub(crate) async fn nest(tx: &'a mut Tx<DB>, options: &'static Options) -> Result<Self, Error> {
        let opening = Opening::new::<DB>(options, tx.depth() + 1);
        let outer = tx.push(options.name).await?;
        let outer = Some(outer);
        Ok(opening.with(Body::Nested(Nested { tx, outer })))
    }

    pub(crate) fn join(tx: &'a mut Tx<DB>, options: &'static Options) -> Self {
        let opening = Opening::new::<DB>(options, tx.depth());
        opening.with(Body::Joined(Joined::enter(tx, options.name)))
    }
}

/// A scope before it has its session.
struct Opening {
    options: &'static Options,
    deadline: Option<Deadline>,
    trace: Trace,
}

impl Opening {
    fn new<DB: Engine>(options: &'static Options, depth: u32) -> Self {
        Self {
            options,
            deadline: options.timeout.map(Deadline::after),
            trace: Trace::new::<DB>(options, depth),
        }
    }

    fn with<DB: Engine>(self, body: Body<'_, DB>) -> Entered<'_, DB> {
        Entered {
            body,
            options: self.options,
            deadline: self.deadline,
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

/// A scope on a savepoint. Dropped, its work is undone before the outer scope sends anything else.
struct Nested<'a, DB: Engine> {
    tx: &'a mut Tx<DB>,
    /// The level around this one; taken when the scope has ended.
    outer: Option<Level>,
}

impl<DB: Engine> Nested<'_, DB> {
    async fn end(mut self, conclusion: Conclusion) -> Result<(), Error> {
        let result = self.tx.close_level(conclusion).await;
        if let Some(outer) = self.outer.take() {
            self.tx.pop(outer);
        }
        result
    }
}

impl<DB: Engine> Drop for Nested<'_, DB> {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            self.tx.abandon(outer);
        }
    }
}

/// A scope inside of another's transaction. If it fails, or is dropped, that transaction is rollback-only.
struct Joined<'a, DB: Engine> {
    tx: &'a mut Tx<DB>,
    name: &'static str,
    outer: &'static str,
    ended: bool,
}

impl<'a, DB: Engine> Joined<'a, DB> {
    fn enter(tx: &'a mut Tx<DB>, name: &'static str) -> Self {
        tx.level.joined += 1;
        let outer = std::mem::replace(&mut tx.level.scope, name);
        Self {
            tx,
            name,
            outer,
            ended: false,
        }
    }

    fn end(mut self, conclusion: Conclusion) {
        self.ended = true;
        if conclusion.verdict == Verdict::Rollback {
            self.tx.level.joined_failed(self.name, conclusion.cause());
        }
    }
}

impl<DB: Engine> Drop for Joined<'_, DB> {
    fn drop(&mut self) {
        self.tx.level.joined -= 1;
        self.tx.level.scope = self.outer;
        if !self.ended {
            let why = match std::thread::panicking() {
                true => "it panicked",
                false => "it was dropped before it had ended",
            };
            self.tx.level.joined_failed(self.name, Cause::new(why));
        }
    }
}

/// The span of a scope, completed when the scope ends.
struct Trace {
    span: Span,
    /// `None` where nobody listens.
    opened: Option<Instant>,
}

impl Trace {
    fn new<DB: Engine>(options: &'static Options, depth: u32) -> Self {
        let span = tracing::debug_span!(
            target: "txn",
            "transaction",
            name = options.name,
            engine = DB::SYSTEM,
            propagation = options.propagation.as_str(),
            depth,
            outcome = tracing::field::Empty,
            elapsed_us = tracing::field::Empty,
        );
        let opened = (!span.is_disabled()).then(Instant::now);
        Self { span, opened }
    }

    fn record(&mut self, outcome: &'static str) {
        let Some(opened) = self.opened.take() else {
            return;
        };
        let elapsed = u64::try_from(opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.span.record("outcome", outcome);
        self.span.record("elapsed_us", elapsed);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.record("dropped");
    }
}
