//! The functions and traits that the expansions of the macros call. They are not part of the public
//! interface, and change together with the macros.
//!
//! An expansion of `#[transactional]` calls them in this order: [`open`], [`enter`], then [`run()`]
//! with the body, then [`end`], [`end_or_retry`] or [`expire`]. The others answer a question at
//! compile time, or choose an implementation by the types of the user's function.

use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::Span;

mod capabilities;
mod said;
pub mod test;

pub use self::capabilities::{AnyEngine, EngineOf};
use self::capabilities::{HasDeferrable, HasWeakIsolation};
pub use self::said::{Said, SaidByAny, SaidByError, SaidByNobody, SaidByOurs};
use crate::engine::Engine;
pub use crate::model::deadline::Deadline;
use crate::model::error::Error;
pub use crate::model::options::Options;
pub use crate::model::outcome::Conclusion;
use crate::model::outcome::Verdict;
use crate::pool::Db;
use crate::pool::task_scopes;
pub use crate::scope::{Around, Next, Scope};
use crate::scope::{Provide, Source};
use crate::tx::Tx;

/// Opens a scope on `source`.
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn open<T, S: Source<T>>(
    source: S,
    options: &'static Options,
) -> impl Future<Output = Result<S::Scope, Error>> + Send {
    source.open(options)
}

/// Returns the session, and what is around the body while it is polled.
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn enter<T, S: Scope<T>>(scope: &mut S) -> (&mut T, Around) {
    let around = scope.around();
    (scope.tx(), around)
}

/// Returns when the time of `scope` is over.
pub fn deadline<T, S: Scope<T>>(scope: &S) -> Deadline {
    scope.deadline()
}

/// Ends `scope` as its outcome says. Dropped, the end of a root scope goes on in the background,
/// and a nested scope is undone.
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn end<T, S: Scope<T>>(
    scope: S,
    conclusion: Conclusion,
) -> impl Future<Output = Result<(), Error>> + Send {
    scope.end(conclusion)
}

/// Ends `scope`. If a conflict was to blame and attempts are left, opens it again.
pub fn end_or_retry<T, S: Scope<T>>(
    scope: S,
    conclusion: Conclusion,
) -> impl Future<Output = Next<S>> + Send {
    scope.end_or_retry(conclusion)
}

/// An argument of which each attempt gets a copy.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be cloned, but `retry` runs the body again, and each attempt needs \
               its own",
    label = "each attempt takes a clone of this argument",
    note = "derive `Clone` for it, pass it by reference, or remove `retry`",
    note = "where it is another's type (an extractor of a web framework), move the body into a \
            function with plain arguments, and annotate that one"
)]
pub trait CloneForEachAttempt: Sized {
    /// Returns the copy for one attempt.
    fn for_this_attempt(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> CloneForEachAttempt for T {
    fn for_this_attempt(&self) -> Self {
        self.clone()
    }
}

/// Returns a copy of an argument for one attempt.
pub fn for_this_attempt<T: CloneForEachAttempt>(argument: &T) -> T {
    argument.for_this_attempt()
}

/// Returns the `Db` that a binding form names as its source.
pub fn provide<P: Provide + ?Sized>(source: &P) -> &Db<P::Engine> {
    source.provide()
}

/// Runs the body in what is around it.
///
/// The body is passed by reference, because bodies are large, and moving one costs more than
/// joining a scope.
#[cfg_attr(not(debug_assertions), inline(always))]
pub fn run<F: Future>(around: Around, body: Pin<&mut Option<F>>) -> Run<'_, F> {
    Run { around, body }
}

/// Runs the body until its scope's time is over. Returns `None` if that was not enough; the body is
/// dropped then.
pub async fn within<F: Future>(deadline: Deadline, body: F) -> Option<F::Output> {
    tokio::time::timeout_at(deadline.at(), body).await.ok()
}

/// Ends a scope whose time is over, and returns the error once it has ended.
pub fn expire<T, S: Scope<T>>(scope: S) -> impl Future<Output = Error> + Send {
    scope.expire()
}

/// A type that a session parameter can refer to. Only [`Tx`] is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no transaction",
    label = "write `&mut Tx<Sqlite>`, `&mut Tx<Postgres>` or `&mut Tx<MySql>` here",
    note = "a connection of sqlx is inside of the `Tx`: `tx.connection()`"
)]
pub trait Transaction {}

#[diagnostic::do_not_recommend]
impl<DB: Engine> Transaction for Tx<DB> {}

/// Refuses at compile time a session parameter that no source could ever open.
pub const fn must_be_a_transaction<T: Transaction>() {}

/// Refuses at compile time a `deferrable` that the engine lacks.
pub const fn deferrable<E: HasDeferrable>(_: PhantomData<E>) {}

/// Refuses at compile time a level below serializable that the engine lacks.
pub const fn weak_isolation<E: HasWeakIsolation>(_: PhantomData<E>) {}

/// Finds the text of an outcome's error, if it has one. Method lookup by autoref picks
/// [`ReasonDisplay`] if it applies, and else [`ReasonOpaque`].
pub struct Reason<'a, O>(pub &'a O);

/// An outcome whose error can be shown.
pub trait ReasonDisplay {
    /// Makes the conclusion, with the text of the error if that is why the scope is rolled back.
    fn conclude(&self, verdict: Verdict) -> Conclusion;
}

impl<T, E: Display> ReasonDisplay for &Reason<'_, Result<T, E>> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn conclude(&self, verdict: Verdict) -> Conclusion {
        match (verdict, self.0) {
            (Verdict::Rollback, Err(error)) => Conclusion::new(verdict, Some(error.to_string())),
            _ => Conclusion::new(verdict, None),
        }
    }
}

/// Any other outcome.
pub trait ReasonOpaque {
    /// Makes the conclusion, without a text.
    fn conclude(&self, verdict: Verdict) -> Conclusion;
}

impl<O> ReasonOpaque for Reason<'_, O> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn conclude(&self, verdict: Verdict) -> Conclusion {
        Conclusion::new(verdict, None)
    }
}

/// A body that is polled in the span of its scope, and is dropped in it, whether or not it has
/// finished. What its values log in their drop then belongs to the scope.
#[must_use = "futures do nothing unless polled"]
pub struct Run<'a, F: Future> {
    /// What is around it.
    around: Around,
    /// The body, which stays where the caller has pinned it; `None` once it was dropped.
    body: Pin<&'a mut Option<F>>,
}

impl<F: Future> Future for Run<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { around, body } = &mut *self;
        let _inside = around.span.as_deref().map(Span::enter);
        let _listed = around.session.map(task_scopes::enter);
        match body.as_mut().as_pin_mut() {
            Some(body) => body.poll(cx),
            None => unreachable!("polled after it was dropped"),
        }
    }
}

impl<F: Future> Drop for Run<'_, F> {
    #[inline]
    fn drop(&mut self) {
        let _inside = self.around.span.as_deref().map(Span::enter);
        self.body.set(None);
    }
}

/// The verdict of the function that `outcome = PATH` names.
pub fn judged(verdict: Verdict) -> Verdict {
    verdict
}

/// The verdict over an outcome whose function says with `error = PATH` what a failure becomes, and
/// does not say with `outcome = PATH` what commits.
pub fn verdict<O: Judge>(outcome: &O) -> Verdict {
    outcome.judge()
}

/// An outcome that says by its shape whether its transaction commits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether its transaction commits",
    label = "a `Result` commits with `Ok` and rolls back with `Err`; this is none",
    note = "name a function that decides: `outcome = PATH`, where PATH is a `fn(&{Self}) -> \
            txn::Verdict`"
)]
pub trait Judge {
    /// Returns whether it commits.
    fn judge(&self) -> Verdict;
}

#[diagnostic::do_not_recommend]
impl<T, E> Judge for Result<T, E> {
    #[inline(always)]
    fn judge(&self) -> Verdict {
        match self {
            Ok(_) => Verdict::Commit,
            Err(_) => Verdict::Rollback,
        }
    }
}

/// The outcome of a scope that failed, made of what the function of `error = PATH` returns.
pub fn failed<O, F: Failure<O>>(failure: F) -> O {
    failure.into_outcome()
}

/// The error of the outcome `O`, or an outcome as a whole.
#[diagnostic::on_unimplemented(
    message = "the function of `error = …` returns `{Self}`, which is no error of `{O}`",
    label = "takes a `txn::Error`, and returns the error type of a `Result`, or what is returned \
             where that is no `Result`"
)]
pub trait Failure<O> {
    /// Returns the outcome.
    fn into_outcome(self) -> O;
}

#[diagnostic::do_not_recommend]
impl<T, E> Failure<Result<T, E>> for E {
    #[inline(always)]
    fn into_outcome(self) -> Result<T, E> {
        Err(self)
    }
}

#[diagnostic::do_not_recommend]
impl<O> Failure<O> for O {
    #[inline(always)]
    fn into_outcome(self) -> O {
        self
    }
}
