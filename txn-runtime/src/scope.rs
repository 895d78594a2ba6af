//! A scope: the extent of one annotated call, from opening to commit, rollback or join.
//!
//! ```text
//!             open                    end, end_or_retry, expire
//!   Source ─────────► Entered ──────────────────────────────────► ended
//!                      │   ▲               │
//!                 body │   └───────────────┘ end_or_retry, with attempts left
//!                      ▼
//!                   dropped ──► undone: at once, in the background, or before the outer scope's
//!                               next statement
//! ```
//!
//! The scope owns its transaction, or borrows that of the scope around it; the body gets a `&mut`
//! of it for as long as it runs. To end a scope consumes it. The drop of a scope that has not ended
//! depends on its kind: the session of a root scope is settled in the background, the level of a
//! nested scope is marked to be undone, and the transaction around a joined scope can only be
//! rolled back.
//!
//! # Boxed futures
//!
//! A future has room for every future that it may ever await, and the future of a scope is part of
//! the caller's own. So whatever is rarely awaited, or is large, is boxed: the allocation is paid
//! only by those who need it, while the room, and the cost of moving it, would be paid by every
//! scope.
//!
//! # Inlining
//!
//! Everything on the path of a joined scope is `inline(always)`, here and in the functions that are
//! called. Then no part of the scope is moved in memory, and a join takes a few hundred
//! instructions. `cargo xtask instructions` counts them.
//!
//! Without optimizations an inlined function only makes the frame of its caller larger, which stays
//! on the stack as long as the body runs. So in debug builds the large ones are not inlined. This
//! halves the stack that a level of recursion takes (`tests/db/cases/stack_use.rs`).

use std::future::Future;
use std::num::NonZeroUsize;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, ready};
use tracing::Span;

mod inside;
mod root;
mod source;

use self::inside::{Joined, Nested};
use self::root::{Root, may_be_retried, pause};
pub use self::source::{Joinable, Provide, Source};
use crate::engine::Engine;
use crate::model::deadline::{Deadline, Phase};
use crate::model::error::Error;
use crate::model::labels::ScopePhase;
use crate::model::options::Options;
use crate::model::outcome::Conclusion;
use crate::model::request::Request;
use crate::model::retry::Attempts;
use crate::observe::trace::{Spanned, Trace};
use crate::pool::Db;
use crate::tx::{Terms, Tx, end, end_attempt};

/// The limit of a scope without one.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// An open scope, as the expansion sees it.
///
/// The expansion calls `tx` and `span` once, runs the body, and then calls exactly one of `expire`,
/// `end` and `end_or_retry`, unless it is dropped before.
pub trait Scope<T>: Send {
    /// Returns the transaction that the body runs in.
    fn tx(&mut self) -> &mut T;
    /// Returns what is around the body while it is polled.
    fn around(&self) -> Around;
    /// Returns when the scope's time is over.
    fn deadline(&self) -> Deadline;
    /// Ends the scope because its time is over, and returns the error once it has ended.
    fn expire(self) -> impl Future<Output = Error> + Send;
    /// Ends the scope as its outcome says.
    fn end(self, conclusion: Conclusion) -> impl Future<Output = Result<(), Error>> + Send;
    /// Ends the scope. If a conflict was to blame and attempts are left, opens it again.
    fn end_or_retry(self, conclusion: Conclusion) -> impl Future<Output = Next<Self>> + Send
    where
        Self: Sized;
}

/// What is around a body while it is polled.
#[derive(Debug)]
pub struct Around {
    /// The span of the scope, if spans are on. Boxed, because it is moved with each scope, and
    /// mostly is not there.
    pub(crate) span: Option<Box<Span>>,
    /// The session of a root scope, for the list of the task: see
    /// [`Activity::id`](crate::observe::scopes::Activity::id).
    pub(crate) session: Option<NonZeroUsize>,
}

/// The step that follows the end of a scope with `retry`.
#[derive(Debug)]
pub enum Next<S> {
    /// The scope has ended, and its outcome stands.
    Done(Result<(), Error>),
    /// The body is to be run again, in this new scope.
    Again(S),
}

/// An open scope of any kind. It is the only implementation of [`Scope`].
///
/// It is small, because it is moved. Everything that only a root scope needs is in its [`Tx`].
pub struct Entered<'a, DB: Engine> {
    /// The kind of the scope, with the transaction that it owns or borrows.
    body: Body<'a, DB>,
    /// The options of its annotation.
    options: &'static Options,
    /// When its time is over, if it has a time limit of its own.
    deadline: Option<Deadline>,
}

/// The kind of a scope. It never changes; each kind has its own end and its own drop.
enum Body<'a, DB: Engine> {
    /// It began a transaction, which it owns.
    Root(Root<DB>),
    /// It set a savepoint in the transaction that it borrows. Boxed: see the head of scope.rs.
    Nested(Box<Nested<'a, DB>>),
    /// It is `requires_new` in a sandbox, where there is no other session: a savepoint with an
    /// outcome and hooks of its own.
    InSandbox(Box<Nested<'a, DB>>),
    /// It runs in the transaction that it borrows, and has sent nothing.
    Joined(Joined<'a, DB>),
}

impl<'a, DB: Engine> Entered<'a, DB> {
    /// Opens a root scope, with as many attempts as its `retry` allows.
    ///
    /// Dropped, it leaves the queue, or the session is settled.
    pub(crate) async fn begin(db: &Db<DB>, request: &Request) -> Result<Self, Error> {
        let mut attempts = Attempts::new(request.options.retry, db.retry());
        let mut trace = Trace::root::<DB>(db.events(), request, attempts.count());
        Self::attempt(db, request, &mut attempts, &mut trace).await
    }

    /// Begins a transaction. If that fails for a reason that may pass, begins again while there are
    /// attempts left. The attempts that are used up are counted in `attempts`.
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

    /// Opens a nested scope, on a savepoint and on the terms of the transaction around it.
    pub(crate) async fn nest(tx: &'a mut Tx<DB>, options: &'static Options) -> Result<Self, Error> {
        let terms = tx.level.terms;
        Self::push(tx, options, terms, Body::Nested).await
    }

    /// Opens a `requires_new` scope in a sandbox, which has no other session: on a savepoint, with
    /// an outcome and hooks of its own.
    pub(crate) async fn nest_in_sandbox(
        tx: &'a mut Tx<DB>,
        options: &'static Options,
    ) -> Result<Self, Error> {
        Self::push(
            tx,
            options,
            Terms::checked_by_keyword(options),
            Body::InSandbox,
        )
        .await
    }

    /// Opens a scope on a savepoint; `body` says of which kind it is.
    async fn push(
        tx: &'a mut Tx<DB>,
        options: &'static Options,
        terms: Terms,
        body: fn(Box<Nested<'a, DB>>) -> Body<'a, DB>,
    ) -> Result<Self, Error> {
        let deadline = options.deadline();
        let mut trace = Trace::nested::<DB>(tx.db().events(), options, tx.depth() + 1);
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

    /// Opens a joined scope. Nothing is sent, so nothing can fail.
    #[cfg_attr(not(debug_assertions), inline(always))]
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
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn tx(&mut self) -> &mut Tx<DB> {
        match &mut self.body {
            Body::Root(root) => &mut root.tx,
            Body::Nested(nested) | Body::InSandbox(nested) => nested.tx,
            Body::Joined(joined) => joined.tx,
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn around(&self) -> Around {
        let (span, session) = match &self.body {
            Body::Root(root) => {
                let session = &root.tx.session;
                (session.trace.span(), Some(session.activity().id()))
            }
            Body::Nested(nested) | Body::InSandbox(nested) => (nested.trace.span(), None),
            Body::Joined(joined) => (joined.span.span(), None),
        };
        Around {
            span: span.map(Box::new),
            session,
        }
    }

    fn deadline(&self) -> Deadline {
        // The expansion asks only if the annotation has a timeout, so there is a deadline.
        let forever = || Deadline::after(FOREVER);
        self.deadline.unwrap_or_else(forever)
    }

    async fn expire(self) -> Error {
        let name = self.options.name;
        let deadline = self.deadline();
        let reason = Error::timeout(name, deadline.over(Phase::Body)).to_string();
        let ended = self.body.end(Conclusion::timed_out(reason), Some(deadline));
        let ended = ended.await;
        // The text is made now, so that the time that the rollback took is part of it.
        ended
            .err()
            .unwrap_or_else(|| Error::timeout(name, deadline.over(Phase::Body)))
    }

    async fn end_or_retry(self, conclusion: Conclusion) -> Next<Self> {
        let verdict = conclusion.verdict;
        // Only a root scope whose body has left its transaction in place can be run again. Any
        // other scope just ends.
        let mut tx = match self.body {
            Body::Root(root) if root.is_in_place() => root.tx,
            other => return Next::Done(other.end(conclusion, self.deadline).await),
        };
        // The end consumes the transaction, so everything that another attempt needs is taken out
        // of it first.
        let (db, conflicts) = (tx.db().clone(), tx.conflicts());
        let (request, mut attempts) = (tx.request, conflicts.attempts);
        let mended = conflicts.may_be_mended(conclusion.says_conflict);
        let mut trace = tx.session.take_trace();
        // From here to the next attempt no session is held, the pause included.
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

    #[cfg_attr(not(debug_assertions), inline(always))]
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
    /// Ends the scope as its kind requires.
    fn end(
        self,
        conclusion: Conclusion,
        deadline: Option<Deadline>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        Either::Right(match self {
            Body::Root(root) => return Either::Left(end(root.into_tx(), conclusion)),
            Body::Nested(nested) => match deadline {
                Some(deadline) => nested.end_in_time(conclusion, deadline).boxed(),
                None => nested.end(conclusion).boxed(),
            },
            Body::InSandbox(nested) => nested.end_in_sandbox(conclusion, deadline).boxed(),
            Body::Joined(joined) => {
                joined.end(conclusion);
                ready(Ok(())).boxed()
            }
        })
    }
}
