//! The futures of a handle itself, from `connect` to `close`, are dropped after every number of
//! polls.

use std::time::Duration;

use txn::{ConnectOptionsOf, Db, DbBuilder};

use super::{DB, TestEngine, insert, patient};
use crate::support::drop_points::{DropPoint, at_every_point};
use crate::support::drop_trial::Trial;
use crate::support::engine::Place;
use crate::support::observer::{Observed, until};
use crate::support::proxy::Proxy;

/// The size of the pieces, because servers send much to greet a client.
const PIECES: Option<usize> = Some(9);

/// A database that nobody has open: SQLite closes no file that the process has open elsewhere.
struct Untouched {
    place: Place,
    proxy: Option<Proxy>,
    options: ConnectOptionsOf<DB>,
    observer: <DB as sqlx::Database>::Connection,
}

impl Untouched {
    async fn new() -> Self {
        let (place, elsewhere) = (DB::place().await, DB::place().await);
        let (proxy, options) = DB::wired(&place);
        Self {
            observer: DB::observer(&elsewhere).await,
            place,
            proxy,
            options,
        }
    }

    fn builder(&self) -> DbBuilder<DB> {
        patient(self.options.clone()).max_sessions(2)
    }

    async fn drop_at<F: Future>(&self, point: DropPoint, future: F) -> Option<F::Output> {
        let drip = |pieces| self.proxy.iter().for_each(|proxy| proxy.drip(pieces));
        drip(PIECES);
        let output = point.drop_there(future).await;
        drip(None);
        output
    }

    async fn until_disconnected(&mut self) {
        until("the server has no session of this test", async || {
            DB::connected(&mut self.observer, &self.place).await == 0
        })
        .await;
    }

    async fn assert_closed(&mut self, db: &Db<DB>) {
        assert!(db.session().await.unwrap_err().is_closed());
        let status = db.status();
        let left = (status.open, status.in_use, status.settling);
        assert_eq!(left, (0, 0, 0), "{status:?}");
        self.until_disconnected().await;
    }
}

#[tokio::test]
async fn connecting_a_handle() {
    let mut untouched = Untouched::new().await;
    at_every_point(async |point| {
        let connecting = untouched.builder().connect();
        let connected = untouched.drop_at(point, connecting).await;
        if let Some(db) = &connected {
            db.as_ref().unwrap().close().await;
        }
        untouched.until_disconnected().await;
        connected.is_some()
    })
    .await;
}

/// Nothing is in the pool, so that the handle has to connect.
#[tokio::test]
async fn beginning_on_a_session_that_has_to_be_opened() {
    let mut untouched = Untouched::new().await;
    at_every_point(async |point| {
        let builder = untouched.builder();
        let db = builder.max_sessions(1).idle_timeout(Duration::ZERO);
        let db = db.connect().await.unwrap();
        let complete = untouched.drop_at(point, db.begin()).await.is_some();
        db.settled().await;
        let status = db.status();
        assert_eq!((status.in_use, status.waiting), (0, 0), "{status:?}");
        db.begin().await.unwrap().commit().await.unwrap();
        db.close().await;
        untouched.assert_closed(&db).await;
        complete
    })
    .await;
}

#[tokio::test]
async fn closing_with_sessions_in_the_pool() {
    let mut untouched = Untouched::new().await;
    at_every_point(async |point| {
        let db = untouched.builder().connect().await.unwrap();
        drop((db.session().await.unwrap(), db.session().await.unwrap()));
        let complete = untouched.drop_at(point, db.close()).await.is_some();
        assert_eq!(db.is_closed(), point.polls > 0);
        db.close().await;
        untouched.assert_closed(&db).await;
        complete
    })
    .await;
}

#[tokio::test]
async fn closing_with_a_session_out_and_one_that_is_settling() {
    let mut untouched = Untouched::new().await;
    at_every_point(async |point| {
        let db = untouched.builder().connect().await.unwrap();
        let held = db.session().await.unwrap();
        drop(db.begin().await.unwrap());
        let closing = async {
            let release = async {
                db.settled().await;
                drop(held);
            };
            tokio::join!(db.close(), release)
        };
        let complete = untouched.drop_at(point, Box::pin(closing)).await.is_some();
        db.close().await;
        untouched.assert_closed(&db).await;
        complete
    })
    .await;
}

/// A caller who waits for a cleanup is no part of it.
#[tokio::test]
async fn waiting_until_a_dropped_transaction_is_settled() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .at_every_point(async |trial, point| {
            let mut tx = trial.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            drop(tx);
            let complete = trial.drop_at(point, trial.settled()).await.is_some();
            trial.assert_recovered(point).await;
            assert!(trial.ids().await.is_empty(), "{point:?}");
            complete
        })
        .await;
}
