//! A scope is dropped at every point, and each time everything must be as if the scope had never
//! been, or as if it had ended.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use futures_util::future::try_join_all;
use sqlx::Executor;
use txn::{Db, Tx};

use crate::support::drop_points::{DropPoint, at_every_point};
use crate::support::fixture::{Fixture, insert, patient};
use crate::support::observer::{Observed, until};
use crate::support::proxy::Proxy;

/// The marks that a scope leaves on its way.
#[derive(Clone, Default)]
pub(crate) struct Marks(Arc<Mutex<Marked>>);

#[derive(Default)]
struct Marked {
    ids: Vec<i64>,
    notes: Vec<&'static str>,
}

impl Marks {
    /// The last act of a body: from here on the scope commits, even if its caller is dropped, and
    /// these rows must be there.
    pub(crate) fn commits(&self, ids: &[i64]) {
        self.0.lock().unwrap().ids.extend(ids);
    }

    /// The rows that must be there.
    pub(crate) fn committed(&self) -> Vec<i64> {
        let mut ids = self.0.lock().unwrap().ids.clone();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn note(&self, what: &'static str) {
        self.0.lock().unwrap().notes.push(what);
    }

    /// Forgets the notes after the first `kept`.
    pub(crate) fn forget_since(&self, kept: usize) {
        self.0.lock().unwrap().notes.truncate(kept);
    }

    pub(crate) fn notes(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().notes.clone()
    }
}

/// The part of a transaction that is lost with an operation that is dropped inside.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Loses {
    /// The operation's own work is lost, and nothing else where the connection survives.
    Itself,
    /// The whole transaction is lost, once the operation has been polled.
    Transaction,
}

/// The number of times that all points are tried where no wire makes a future wait: some answers
/// are there at once, so that one round does not meet every point.
const ROUNDS: usize = 10;

/// A database whose sessions are dropped at every point, and an observer of them.
///
/// A proxy in the same thread lies between the database and its server, so that no answer is there
/// before somebody waits for it. While a future is on trial the proxy lets answers drip, so that
/// the future is also dropped in the middle of each answer.
pub(crate) struct Trial<DB: Observed> {
    db: Db<DB>,
    place: Fixture<DB>,
    observer: DB::Connection,
    proxy: Option<Proxy>,
    drip: usize,
}

impl<DB: Observed> Trial<DB> {
    pub(crate) async fn of_sessions(max: usize) -> Self {
        let place = Fixture::of_sessions(1).await;
        let observer = DB::observer(place.place()).await;
        let (proxy, options) = DB::wired(place.place());
        let db = patient(options).max_sessions(max).connect().await;
        Self {
            db: db.unwrap(),
            place,
            observer,
            proxy,
            drip: 1,
        }
    }

    /// Lets answers come in pieces of this size, where they are long.
    pub(crate) fn in_pieces_of(mut self, bytes: usize) -> Self {
        self.drip = bytes;
        self
    }

    /// Drops `future` at the point, unless it is complete before.
    pub(crate) async fn drop_at<F: Future>(
        &self,
        point: DropPoint,
        future: F,
    ) -> Option<F::Output> {
        self.dripping(point.drop_there(future)).await
    }

    /// Runs `future` while answers drip.
    pub(crate) async fn dripping<F: Future>(&self, future: F) -> F::Output {
        self.drip(Some(self.drip));
        let output = future.await;
        self.drip(None);
        output
    }

    fn drip(&self, bytes: Option<usize>) {
        if let Some(proxy) = &self.proxy {
            proxy.drip(bytes);
        }
    }

    /// Calls `trial` for every point, until it returns that the future was complete.
    pub(crate) async fn at_every_point(
        &mut self,
        mut trial: impl AsyncFnMut(&mut Self, DropPoint) -> bool,
    ) {
        let rounds = if self.proxy.is_some() { 1 } else { ROUNDS };
        for _ in 0..rounds {
            // The trial is on the heap, because it holds a scope and all that is looked at after
            // it.
            let each = async |point| Box::pin(trial(self, point)).await;
            at_every_point(each).await;
        }
    }

    /// Waits until the server has no sessions but the test's other ones.
    pub(crate) async fn until_disconnected(&mut self) {
        if self.proxy.is_none() {
            return; // SQLite closes no file that the process has open elsewhere
        }
        let (place, observer) = (self.place.place(), &mut self.observer);
        let others = self.place.status().open;
        until("the sessions of a closed handle are gone", async || {
            DB::connected(observer, place).await <= others
        })
        .await;
    }

    /// The ids in the table, as another session sees them.
    pub(crate) async fn ids(&self) -> Vec<i64> {
        self.place.ids().await
    }

    pub(crate) async fn clear(&self) {
        self.place.execute("DELETE FROM t").await.unwrap();
    }

    /// Asserts that nothing is pending, that all slots are free, and that no session is inside of a
    /// transaction, neither here nor on the server.
    pub(crate) async fn assert_recovered(&mut self, when: impl Debug) {
        self.db.settled().await;
        let status = self.db.status();
        let pending = (status.in_use, status.settling, status.waiting);
        assert_eq!(pending, (0, 0, 0), "{when:?}: {status:?}");
        assert!(status.open <= status.max, "{when:?}: {status:?}");
        let scopes = self.db.scopes().await;
        assert!(scopes.is_empty(), "{when:?}: {scopes:?}");
        let all = (0..status.max).map(|_| self.db.session());
        let mut sessions = try_join_all(all).await.unwrap();
        for session in &mut sessions {
            assert!(!DB::is_inside(session.connection()).await, "{when:?}");
        }
        let (place, observer) = (self.place.place(), &mut self.observer);
        until("no session is inside of a transaction", async || {
            DB::inside(observer, place).await == 0
        })
        .await;
        if DB::DROP_COSTS_SESSION {
            // One more session may be open for cancels.
            let known = status.max + 1 + self.place.status().open;
            until("the closed sessions are gone", async || {
                DB::connected(observer, place).await <= known
            })
            .await;
        }
        drop(sessions);
        self.db.settled().await;
    }

    /// Drops `scope` at every point. The scope marks the rows that it commits.
    pub(crate) async fn drop_everywhere(&mut self, scope: impl AsyncFn(&Db<DB>, &Marks)) {
        self.drop_everywhere_then(scope, |_| ()).await;
    }

    pub(crate) async fn drop_everywhere_then(
        &mut self,
        scope: impl AsyncFn(&Db<DB>, &Marks),
        check: impl Fn(&Marks),
    ) {
        self.at_every_point(async |this, point| {
            let marks = Marks::default();
            let dropped = this.drop_at(point, scope(&this.db, &marks)).await;
            this.assert_recovered(point).await;
            assert_eq!(this.place.ids().await, marks.committed(), "{point:?}");
            check(&marks);
            this.clear().await;
            dropped.is_some()
        })
        .await;
    }

    /// Drops `inner` at every point of a transaction that goes on: the row 1 is written before, and
    /// the row 9 after.
    pub(crate) async fn drop_everywhere_inside(
        &mut self,
        loses: Loses,
        inner: impl AsyncFn(&mut Tx<DB>, &Marks),
    ) {
        self.at_every_point(async |this, point| {
            let marks = Marks::default();
            let mut tx = this.db.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            let dropped = this.drop_at(point, inner(&mut tx, &marks)).await;
            let complete = dropped.is_some();
            let went_on = insert(&mut tx, 9).await.map_err(txn::Error::from);
            let committed = tx.commit().await;
            this.assert_recovered(point).await;

            let may_go_on = complete || loses == Loses::Itself || point.polls == 0;
            let must_go_on = complete || point.polls == 0 || may_go_on && !DB::DROP_COSTS_SESSION;
            let written = this.place.ids().await;
            match committed {
                Ok(()) => {
                    assert!(may_go_on, "{point:?}: no error");
                    went_on.unwrap();
                    let mut expected = vec![1, 9];
                    if complete {
                        expected.extend(marks.committed());
                        expected.sort_unstable();
                    }
                    assert_eq!(written, expected, "{point:?}");
                }
                Err(error) => {
                    assert!(!must_go_on, "{point:?}: {error}, {went_on:?}");
                    assert!(error.is_aborted() || error.is_rollback_only(), "{error}");
                    assert!(written.is_empty(), "{point:?}: {written:?}");
                }
            }
            this.clear().await;
            complete
        })
        .await;
    }
}

impl<DB: Observed> Deref for Trial<DB> {
    type Target = Db<DB>;

    fn deref(&self) -> &Db<DB> {
        &self.db
    }
}
