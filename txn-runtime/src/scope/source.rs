//! Sources: the values that a scope gets its session from. `&Db` begins, `&mut Tx` joins.
//!
//! The table in `model/propagation.rs` decides what a scope does at its place, and this module does
//! it. Every match on an action is exhaustive, so that a new propagation is not forgotten here.
//!
//! | source | `required` | `nested` | `requires_new` | `mandatory` |
//! |---|---|---|---|---|
//! | `&Db`, `&Sandbox` | begins | begins | begins | refused |
//! | `&mut Tx` | joins | sets a savepoint | begins on a second session | joins |
//! | `&mut Tx` of a sandbox | joins | sets a savepoint | sets a savepoint | joins |
//!
//! A source is consumed by opening a scope on it. A scope on a `&Db` owns its transaction and
//! borrows nothing. A scope on a `&mut Tx` borrows the transaction, so that its caller cannot use
//! it until the scope has ended or was dropped.

use std::borrow::Cow;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Either, ready};

use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::options::Options;
use crate::model::propagation::{Action, Place, resolve};
use crate::model::request::Request;
use crate::pool::Db;
use crate::scope::{Entered, Scope};
use crate::tx::{Sandbox, Tx};

/// A value that a caller can pass for the `&mut Tx` of an annotated function: `&Db` or `&mut Tx`.
///
/// A function without an annotation can take a source too, if it works with and without a
/// transaction, and pass it on to an annotated one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of sessions for `{T}`",
    label = "pass `&db` to begin a transaction, or `&mut tx` to join the one that is open",
    note = "a source is a `txn::Db` or a `txn::Tx` of the same engine; a `Pool`, connection or \
            `Transaction` of sqlx is none"
)]
pub trait Source<T>: Send + Debug + Sized {
    /// The open scope.
    #[doc(hidden)]
    type Scope: Scope<T>;

    /// Opens a scope. Dropped, it leaves the queue, or what was begun is undone.
    #[doc(hidden)]
    fn open(
        self,
        options: &'static Options,
    ) -> impl Future<Output = Result<Self::Scope, Error>> + Send;
}

/// A [`Source`] that is inside of a transaction. A `mandatory` function takes no other.
#[diagnostic::on_unimplemented(
    message = "this function is `mandatory`: it runs only inside of a transaction, and `{Self}` \
               is not in one",
    label = "pass the `&mut Tx` of an open transaction",
    note = "call it from a `#[transactional]` function and pass its `tx`; by hand: `let mut tx = \
            db.begin().await?`, pass `&mut tx`, then `tx.commit().await?`"
)]
pub trait Joinable<T>: Source<T> {}

#[diagnostic::do_not_recommend]
impl<DB: Engine> Source<Tx<DB>> for &Db<DB> {
    // The scope borrows nothing, so that the body may borrow all of the `self` that holds the `Db`.
    type Scope = Entered<'static, DB>;

    async fn open(self, options: &'static Options) -> Result<Self::Scope, Error> {
        match resolve(options.propagation, Place::Outside) {
            Action::Begin => Entered::begin(self, &Request::outside(options)).await,
            action => Err(refuse(action, options)),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<DB: Engine> Source<Tx<DB>> for &Sandbox<DB> {
    type Scope = Entered<'static, DB>;

    async fn open(self, options: &'static Options) -> Result<Self::Scope, Error> {
        self.db().open(options).await
    }
}

#[diagnostic::do_not_recommend]
impl<'a, DB: Engine> Source<Tx<DB>> for &'a mut Tx<DB> {
    type Scope = Entered<'a, DB>;

    // Only a join is not boxed: see the head of scope.rs.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn open(
        self,
        options: &'static Options,
    ) -> impl Future<Output = Result<Self::Scope, Error>> + Send {
        match resolve(options.propagation, Place::Inside) {
            Action::BeginAnother => Either::Right(begin_another(self, options).boxed()),
            Action::Savepoint => Either::Right(nest(self, options).boxed()),
            Action::Join => Either::Left(ready(join(self, options))),
            action @ (Action::Begin | Action::Refuse) => {
                Either::Left(ready(Err(refuse(action, options))))
            }
        }
    }
}

/// The error of a scope that cannot be opened at its place.
#[cold]
fn refuse(action: Action, options: &Options) -> Error {
    let why = match action {
        Action::Refuse => "`mandatory` needs an open transaction: pass a `&mut Tx`",
        Action::Join | Action::Savepoint => "there is no transaction to join: pass a `&mut Tx`",
        Action::Begin | Action::BeginAnother => "a transaction is open already: pass the `&Db`",
    };
    Error::refused(options.name, why)
}

/// Joins the open transaction.
#[cfg_attr(not(debug_assertions), inline(always))]
fn join<'a, DB: Engine>(
    tx: &'a mut Tx<DB>,
    options: &'static Options,
) -> Result<Entered<'a, DB>, Error> {
    refuse_conflict(tx, options)?;
    Ok(Entered::join(tx, options))
}

/// Opens a nested scope in the open transaction.
async fn nest<'a, DB: Engine>(
    tx: &'a mut Tx<DB>,
    options: &'static Options,
) -> Result<Entered<'a, DB>, Error> {
    refuse_conflict(tx, options)?;
    Entered::nest(tx, options).await
}

/// Opens a `requires_new` scope: a root scope on a second session, or in a sandbox, which has only
/// one session, a savepoint.
async fn begin_another<'a, DB: Engine>(
    tx: &'a mut Tx<DB>,
    options: &'static Options,
) -> Result<Entered<'a, DB>, Error> {
    refuse_second_writer(tx, options)?;
    if tx.session.bounds().are_a_savepoint() {
        return Entered::nest_in_sandbox(tx, options).await;
    }
    let db = tx.db().clone();
    Entered::begin(&db, &tx.request_inside(options)).await
}

#[diagnostic::do_not_recommend]
impl<DB: Engine> Joinable<Tx<DB>> for &mut Tx<DB> {}

/// Refuses a second scope that writes where the engine has one writer at a time: it would wait for
/// its own caller.
fn refuse_second_writer<DB: Engine>(tx: &Tx<DB>, options: &Options) -> Result<(), Error> {
    match DB::LACKS.second_writer {
        Some(why) if !tx.is_read_only() && !options.read_only => {
            Err(Error::refused(options.name, why))
        }
        _ => Ok(()),
    }
}

/// Refuses options that the engine or the open transaction cannot meet.
#[cfg_attr(not(debug_assertions), inline(always))]
fn refuse_conflict<DB: Engine>(tx: &Tx<DB>, options: &Options) -> Result<(), Error> {
    match (options.refusal(&DB::LACKS), tx.conflict(options)) {
        (Some(why), _) => Err(Error::refused(options.name, why)),
        (None, Some(why)) => Err(Error::refused(options.name, Cow::Owned(why))),
        (None, None) => Ok(()),
    }
}

/// A value that the binding form can name as its source: a `Db`, however it is held.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of sessions",
    label = "name a `txn::Db` here, as in `#[transactional(self.db as tx)]`",
    note = "a reference to one, an `Arc` or a `Box` of one will do; in an extractor of a web \
            framework it is the field: `state.0 as tx`; for an open transaction write `&mut \
            self.tx as tx`"
)]
pub trait Provide {
    /// The engine of that `Db`.
    type Engine: Engine;

    /// The `Db` itself.
    fn provide(&self) -> &Db<Self::Engine>;
}

#[diagnostic::do_not_recommend]
impl<DB: Engine> Provide for Db<DB> {
    type Engine = DB;

    fn provide(&self) -> &Db<DB> {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<DB: Engine> Provide for Sandbox<DB> {
    type Engine = DB;

    fn provide(&self) -> &Db<DB> {
        self.db()
    }
}

macro_rules! provide_through {
    ($($holder:ty),+) => {$(
        #[diagnostic::do_not_recommend]
        impl<P: Provide + ?Sized> Provide for $holder {
            type Engine = P::Engine;

            fn provide(&self) -> &Db<P::Engine> {
                (**self).provide()
            }
        }
    )+};
}

provide_through!(&P, &mut P, Arc<P>, Box<P>);
