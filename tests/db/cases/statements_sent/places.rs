//! A scope may be opened in these places, and this is sent around it there.

use futures_util::future::LocalBoxFuture;
use txn::{Db, Tx, transactional};

use super::{BEGIN, COMMIT, DB, Ended, Line, ROLLBACK};

/// A scope to be opened inside of a transaction.
pub(super) type Inside = for<'a> fn(&'a mut Tx<DB>) -> LocalBoxFuture<'a, Ended>;

/// A scope around another.
#[derive(Clone, Copy)]
pub(super) enum Frame {
    Joined,
    Nested,
    Apart,
}

pub(super) struct Place {
    pub(super) name: &'static str,
    /// The scopes inside of the root scope; `None` where the root is made by hand.
    frames: Option<&'static [Frame]>,
    /// The statements that are sent before the scope is opened.
    pub(super) open: &'static [Line],
    /// The statements that are sent after the scope, where all of it is kept, or undone because of
    /// a failure, or dropped.
    pub(super) kept: &'static [Line],
    pub(super) undone: &'static [Line],
    pub(super) dropped: &'static [Line],
    /// The number of savepoints and sessions that are in use there.
    pub(super) savepoints: usize,
    pub(super) apart: usize,
    /// The engines that get there; the others refuse an outer scope.
    pub(super) reached: [bool; 3],
}

const JOINED: Place = Place {
    name: "joined",
    frames: Some(&[]),
    open: &[BEGIN],
    kept: &[COMMIT],
    undone: &[ROLLBACK],
    dropped: &[ROLLBACK],
    savepoints: 0,
    apart: 0,
    reached: [true; 3],
};

pub(super) const PLACES: [Place; 6] = [
    JOINED,
    Place {
        name: "joined, by hand",
        frames: None,
        ..JOINED
    },
    Place {
        name: "joined, two deep",
        frames: Some(&[Frame::Joined]),
        ..JOINED
    },
    Place {
        name: "in a nested scope",
        frames: Some(&[Frame::Nested]),
        open: &[BEGIN, anchored!("SAVEPOINT txn_1")],
        undone: &[anchored!("ROLLBACK TO SAVEPOINT txn_1"), ROLLBACK],
        savepoints: 1,
        ..JOINED
    },
    Place {
        name: "in a nested scope, two deep",
        frames: Some(&[Frame::Nested, Frame::Nested]),
        open: &[BEGIN, anchored!("SAVEPOINT txn_1"), anchored!("SAVEPOINT txn_2")],
        undone: &[
            anchored!("ROLLBACK TO SAVEPOINT txn_2"),
            anchored!("ROLLBACK TO SAVEPOINT txn_1"),
            ROLLBACK,
        ],
        savepoints: 2,
        ..JOINED
    },
    Place {
        name: "on a second session",
        frames: Some(&[Frame::Apart]),
        open: &[BEGIN, [">BEGIN", ">START TRANSACTION; SAVEPOINT txn_0", ""]],
        kept: &[
            [
                ">SAVEPOINT txn_end; COMMIT",
                ">RELEASE SAVEPOINT txn_0; COMMIT",
                "",
            ],
            COMMIT,
        ],
        undone: &[[">ROLLBACK", ">ROLLBACK", ""], ROLLBACK],
        dropped: &[ROLLBACK, [">ROLLBACK", ">ROLLBACK", ""]],
        apart: 1,
        reached: [true, true, false],
        ..JOINED
    },
];

impl Place {
    /// Opens the scope there; the scopes around it share its fate.
    pub(super) async fn open(&self, db: &Db<DB>, scope: Inside) -> Ended {
        if let Some(frames) = self.frames {
            return joins(db, frames, scope).await;
        }
        let mut tx = db.begin().await?;
        match scope(&mut tx).await {
            Ok(()) => tx.commit().await?,
            Err(fault) => {
                tx.rollback().await?;
                return Err(fault);
            }
        }
        Ok(())
    }
}

fn enter<'a>(tx: &'a mut Tx<DB>, frames: &'a [Frame], scope: Inside) -> LocalBoxFuture<'a, Ended> {
    match frames {
        [] => scope(tx),
        [Frame::Joined, inner @ ..] => Box::pin(joins(tx, inner, scope)),
        [Frame::Nested, inner @ ..] => Box::pin(nests(tx, inner, scope)),
        [Frame::Apart, inner @ ..] => Box::pin(parts(tx, inner, scope)),
    }
}

#[transactional]
async fn joins(tx: &mut Tx<DB>, inner: &[Frame], scope: Inside) -> Ended {
    enter(tx, inner, scope).await
}

#[transactional(nested)]
async fn nests(tx: &mut Tx<DB>, inner: &[Frame], scope: Inside) -> Ended {
    enter(tx, inner, scope).await
}

#[transactional(requires_new)]
async fn parts(tx: &mut Tx<DB>, inner: &[Frame], scope: Inside) -> Ended {
    enter(tx, inner, scope).await
}
