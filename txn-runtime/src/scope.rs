//! A scope: the extent of one annotated call, from opening to commit, rollback or join.
//!
//! What a joined scope runs through is `inline(always)`, here and where it leads: then nothing of it is moved about, and all
//! of it is a few hundred instructions. `cargo xtask instructions` keeps count.

use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, ready};
use tracing::Span;

mod again;
mod inside;
mod root;
mod source;

use self::again::{may_be_retried, pause};
use self::inside::{Joined, Nested};
use self::root::Root;
pub use self::source::{Joinable, Provide, Source};
use crate::engine::Engine;
use crate::model::conclusion::Conclusion;
use crate::model::deadline::{Deadline, Phase};
use crate::model::error::Error;
use crate::model::labels::ScopePhase;
use crate::model::options::Options;
use crate::model::request::Request;
use crate::model::retry::Attempts;
use crate::observe::trace::{Spanned, Trace};
use crate::pool::Db;
use crate::tx::{Terms, Tx, end, end_attempt};

const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// An open scope, as the expansion sees it.
pub trait Scope<T>: Send {
    /// The session of the body.
    fn tx(&mut self) -> &mut T;
    /// The span of the body.
    fn span(&self) -> Option<Span>;
    /// When its time is over.
    fn deadline(&self) -> Deadline;
    /// Ends the scope because its time is over, and waits for that.
    fn expire(self) -> impl Future<Output = Error> + Send;
    /// Ends the scope as its outcome says.
    fn end(self, conclusion: Conclusion) -> impl Future<Output = Result<(), Error>> + Send;
    /// Ends the scope, and opens it again if a conflict was to blame and it has attempts left.
    fn end_or_retry(self, conclusion: Conclusion) -> impl Future<Output = Next<Self>> + Send
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
///
/// Small, because it is moved about: what only a root scope needs is in its `Tx`.
pub struct Entered<'a, DB: Engine> {
    body: Body<'a, DB>,
    options: &'static Options,
    /// Where it has a time limit of its own.
    deadline: Option<Deadline>,
}

enum Body<'a, DB: Engine> {
    Root(Root<DB>),
    /// Boxed, or a joined scope would be moved about with room for it.
    Nested(Box<Nested<'a, DB>>),
    /// Only in a sandbox.
    OnItsOwn(Box<Nested<'a, DB>>),
    Joined(Joined<'a, DB>),
}

impl<'a, DB: Engine> Entered<'a, DB> {
    pub(crate) async fn begin(db: &Db<DB>, request: &Request) -> Result<Self, Error> {
        let mut attempts = Attempts::new(request.options.retry, db.retry());
        let mut trace = Trace::root::<DB>(db.meter(), request, attempts.count());
        Self::attempt(db, request, &mut attempts, &mut trace).await
    }

    /// Begins; where there are attempts left, again if that failed for a reason that may pass.
    async fn attempt(
        db: &Db<DB>,
        request: &Request,
        attempts: &mut Attempts,
        trace: &mut Trace,
    ) -> Result<Self, Error> {
        loop {
            let error = match Tx::begin(db, request, trace).await {
                Ok(mut tx) => {
                    tx.conflicts.attempts = *attempts;
                    return Ok(Self {
                        body: Body::Root(Root::new(tx)),
                        options: request.options,
                        deadline: request.deadline,
                    });
                }
                Err(error) => error,
            };
            if !error.is_retryable() || !pause(attempts, request.deadline).await {
                trace.take().ended();
                return Err(error.after(attempts.tried()));
            }
            *trace = trace.take().again::<DB>(request, attempts.count());
        }
    }

    pub(crate) async fn nest(tx: &'a mut Tx<DB>, options: &'static Options) -> Result<Self, Error> {
        let terms = tx.level.terms;
        Self::push(tx, options, terms, Body::Nested).await
    }

    /// `requires_new` where there is no other session.
    pub(crate) async fn nest_on_its_own(
        tx: &'a mut Tx<DB>,
        options: &'static Options,
    ) -> Result<Self, Error> {
        Self::push(
            tx,
            options,
            Terms::checked_by_keyword(options),
            Body::OnItsOwn,
        )
        .await
    }

    async fn push(
        tx: &'a mut Tx<DB>,
        options: &'static Options,
        terms: Terms,
        body: fn(Box<Nested<'a, DB>>) -> Body<'a, DB>,
    ) -> Result<Self, Error> {
        let deadline = options.deadline();
        let mut trace = Trace::nested::<DB>(tx.db().meter(), options, tx.depth() + 1);
        trace.at(ScopePhase::Beginning);
        let outer = match tx.push(options.name, terms).await {
            Ok(outer) => Some(outer),
            Err(error) => return Err(trace.refused(error)),
        };
        let trace = trace.of_body();
        Ok(Self {
            body: body(Box::new(Nested::new(tx, outer, trace))),
            options,
            deadline,
        })
    }

    #[inline(always)]
    pub(crate) fn join(tx: &'a mut Tx<DB>, options: &'static Options) -> Self {
        let span = Spanned::new::<DB>(options, None, tx.depth(), 1);
        Self {
            body: Body::Joined(Joined::enter(tx, options.name, span)),
            options,
            deadline: options.deadline(),
        }
    }
}

impl<DB: Engine> Scope<Tx<DB>> for Entered<'_, DB> {
    #[inline(always)]
    fn tx(&mut self) -> &mut Tx<DB> {
        match &mut self.body {
            Body::Root(root) => &mut root.tx,
            Body::Nested(nested) | Body::OnItsOwn(nested) => nested.tx,
            Body::Joined(joined) => joined.tx,
        }
    }

    #[inline(always)]
    fn span(&self) -> Option<Span> {
        match &self.body {
            Body::Root(root) => root.tx.session.trace.span(),
            Body::Nested(nested) | Body::OnItsOwn(nested) => nested.trace.span(),
            Body::Joined(joined) => joined.span.span(),
        }
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
        let ended = self.body.end(Conclusion::timed_out(reason), Some(deadline));
        let ended = ended.await;
        // The rollback is part of what took so long.
        ended
            .err()
            .unwrap_or_else(|| Error::timeout(name, deadline.over(Phase::Body)))
    }

    async fn end_or_retry(self, conclusion: Conclusion) -> Next<Self> {
        let verdict = conclusion.verdict;
        let mut tx = match self.body {
            Body::Root(root) if root.has_its_own() => root.tx,
            other => return Next::Done(other.end(conclusion, self.deadline).await),
        };
        let (db, conflicts) = (tx.db().clone(), tx.conflicts());
        let (request, mut attempts) = (tx.request, conflicts.attempts);
        let mended = conflicts.may_be_mended(conclusion.says_conflict);
        let mut trace = tx.session.take_trace();
        let result = end_attempt(tx, conclusion, &mut trace).await;
        let again = may_be_retried(verdict, &result, mended);
        if again && pause(&mut attempts, request.deadline).await {
            let mut trace = trace.again::<DB>(&request, attempts.count());
            return match Self::attempt(&db, &request, &mut attempts, &mut trace).await {
                Ok(next) => Next::Again(next),
                Err(error) => Next::Done(Err(error)),
            };
        }
        trace.ended();
        Next::Done(result.map_err(|error| error.after(attempts.tried())))
    }

    #[inline(always)]
    fn end(self, conclusion: Conclusion) -> impl Future<Output = Result<(), Error>> + Send {
        match self.body {
            Body::Joined(joined) => {
                joined.end(conclusion);
                Either::Left(ready(Ok(())))
            }
            body => Either::Right(body.end(conclusion, self.deadline)),
        }
    }
}

impl<DB: Engine> Body<'_, DB> {
    async fn end(self, conclusion: Conclusion, deadline: Option<Deadline>) -> Result<(), Error> {
        match self {
            Body::Root(root) => end(root.into_tx(), conclusion).await,
            Body::Nested(nested) => match deadline {
                Some(deadline) => nested.end_in_time(conclusion, deadline).boxed().await,
                None => nested.end(conclusion).boxed().await,
            },
            Body::OnItsOwn(nested) => nested.end_on_its_own(conclusion, deadline).boxed().await,
            Body::Joined(joined) => {
                joined.end(conclusion);
                Ok(())
            }
        }
    }
}
