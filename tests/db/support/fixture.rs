//! Every test starts from a database with one table, `t (id PRIMARY KEY, n)`.

use std::ops::Deref;

use sqlx::{AssertSqlSafe, Executor};
use txn::{ConnectOptionsOf, Db, DbBuilder, Tx};

use crate::support::engine::{Place, TestEngine};
use crate::support::observer::PATIENCE;

/// The settings that a test's handle starts from: no limit that a busy machine could reach. A test
/// of a limit sets its own.
pub(crate) fn patient<DB: TestEngine>(options: ConnectOptionsOf<DB>) -> DbBuilder<DB> {
    Db::builder(options)
        .acquire_timeout(PATIENCE)
        .settle_timeout(PATIENCE)
        .check_timeout(PATIENCE)
}

/// Connects, however short the test's limit is: it is not meant for opening the first session on a
/// busy machine.
pub(crate) async fn connect<DB: TestEngine>(
    options: &ConnectOptionsOf<DB>,
    configure: impl Fn(DbBuilder<DB>) -> DbBuilder<DB>,
) -> Db<DB> {
    loop {
        match configure(patient(options.clone())).connect().await {
            Err(error) if error.is_acquire_timeout() => {}
            connected => return connected.unwrap(),
        }
    }
}

/// A `Db` on a database of the test's own.
#[derive(Clone)]
pub(crate) struct Fixture<DB: TestEngine> {
    db: Db<DB>,
    place: std::sync::Arc<Place>,
}

impl<DB: TestEngine> Fixture<DB> {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(configure: impl FnOnce(DbBuilder<DB>) -> DbBuilder<DB>) -> Self {
        let place = DB::place().await;
        let builder = configure(patient(place.url.parse().unwrap()));
        Self::at(place, builder.connect().await.unwrap()).await
    }

    /// Opens a fixture whose `acquire_timeout` is to run out: see [`connect`].
    pub(crate) async fn in_haste(configure: impl Fn(DbBuilder<DB>) -> DbBuilder<DB>) -> Self {
        let place = DB::place().await;
        let db = connect(&place.url.parse().unwrap(), configure).await;
        Self::at(place, db).await
    }

    async fn at(place: Place, db: Db<DB>) -> Self {
        db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)")
            .await
            .unwrap();
        Self {
            db,
            place: place.into(),
        }
    }

    pub(crate) async fn of_sessions(max: usize) -> Self {
        Self::with(|builder| builder.max_sessions(max)).await
    }

    /// Opens all the sessions that the pool may have, however short the limit to wait for one.
    pub(crate) async fn fill(&self) {
        let mut sessions = Vec::new();
        while sessions.len() < self.db.status().max {
            match self.db.session().await {
                Err(error) if error.is_acquire_timeout() => {}
                session => sessions.push(session.unwrap()),
            }
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn url(&self) -> &str {
        &self.place.url
    }

    /// The ids in the table, as another session sees them.
    pub(crate) async fn ids(&self) -> Vec<i64> {
        let rows = self.db.fetch_all("SELECT id FROM t ORDER BY id").await;
        rows.unwrap().iter().map(DB::number).collect()
    }

    /// Asserts that nothing is going on any more: no session is out, and none is in a transaction.
    pub(crate) async fn assert_at_rest(&self) {
        self.db.settled().await;
        let status = self.db.status();
        assert_eq!(
            (status.in_use, status.settling, status.waiting),
            (0, 0, 0),
            "{status:?}"
        );
        assert!(status.open <= status.max, "{status:?}");
        let scopes = self.db.scopes().await;
        assert!(scopes.is_empty(), "{scopes:?}");
    }

    #[track_caller]
    pub(crate) fn assert_sessions(&self, open: usize, idle: usize, in_use: usize, waiting: usize) {
        let status = self.db.status();
        let sessions = (status.open, status.idle, status.in_use, status.waiting);
        assert_eq!(sessions, (open, idle, in_use, waiting), "{status:?}");
        assert_eq!(status.settling, 0, "{status:?}");
    }
}

impl<DB: TestEngine> Deref for Fixture<DB> {
    type Target = Db<DB>;

    fn deref(&self) -> &Db<DB> {
        &self.db
    }
}

/// Inserts one row.
pub(crate) async fn insert<DB: TestEngine>(tx: &mut Tx<DB>, id: i64) -> Result<(), sqlx::Error> {
    let sql = format!("INSERT INTO t (id, n) VALUES ({id}, 0)");
    tx.execute(AssertSqlSafe(sql)).await.map(drop)
}

/// A statement that the database refuses on every engine: `id` is taken.
pub(crate) async fn insert_twice<DB: TestEngine>(
    tx: &mut Tx<DB>,
    id: i64,
) -> Result<(), sqlx::Error> {
    insert(tx, id).await?;
    insert(tx, id).await
}

/// Reads a whole number with a query.
pub(crate) async fn number<DB: TestEngine>(
    tx: &mut Tx<DB>,
    sql: &'static str,
) -> Result<i64, sqlx::Error> {
    tx.fetch_one(sql).await.map(|row| DB::number(&row))
}
