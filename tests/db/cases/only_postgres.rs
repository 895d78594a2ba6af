//! Faults that only PostgreSQL has.

use futures_util::TryStreamExt;
use sqlx::{Connection, Executor};
use txn::{Db, Error, Postgres};

use super::{Fixture, TestEngine, insert, number, patient};
use crate::support::proxy::Proxy;
use crate::support::server_engine::{ServerEngine, until_gone};
use crate::support::warnings::Warnings;

async fn by_proxy() -> (Fixture<Postgres>, Proxy, Db<Postgres>) {
    let fixture = Fixture::<Postgres>::new().await;
    let (proxy, options) = Postgres::by_proxy(fixture.url());
    let db = patient(options).connect().await.unwrap();
    (fixture, proxy, db)
}

async fn orphan(db: &Db<Postgres>, parent: Option<i64>) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    tx.execute("INSERT INTO child (t) VALUES (99)").await?;
    if let Some(parent) = parent {
        insert(&mut tx, parent).await?;
    }
    tx.commit().await
}

#[tokio::test]
async fn in_a_sandbox_a_deferred_constraint_is_checked_where_the_commit_would_be() {
    let fixture = Fixture::<Postgres>::new().await;
    fixture
        .execute("CREATE TABLE child (t BIGINT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
        .await
        .unwrap();
    let sandbox = fixture.sandbox().await.unwrap();
    for _ in 0..2 {
        let error = orphan(&sandbox, None).await.unwrap_err();
        assert_eq!(error.code().as_deref(), Some("23503"), "{error}");
    }
    orphan(&sandbox, Some(99)).await.unwrap();
    let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM child");
    assert_eq!(count.fetch_one(&sandbox).await.unwrap(), 1);
}

#[tokio::test]
async fn a_deferred_constraint_fails_the_one_commit_and_no_rollback_follows() {
    let (fixture, proxy, db) = by_proxy().await;
    fixture
        .execute("CREATE TABLE child (t BIGINT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
        .await
        .unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    tx.execute("INSERT INTO child (t) VALUES (99)")
        .await
        .unwrap();

    let error = tx.commit().await.unwrap_err();

    assert!(
        error
            .to_string()
            .starts_with("cannot commit, nothing was written"),
        "{error}"
    );
    assert_eq!(
        error.code().as_deref(),
        Some("23503"),
        "foreign_key_violation"
    );
    assert!(!error.is_aborted() && !error.is_commit_unknown(), "{error}");
    db.settled().await;
    assert_eq!((proxy.count("COMMIT"), proxy.count("ROLLBACK")), (1, 0));
    assert!(fixture.ids().await.is_empty());
    assert_eq!((db.status().idle, db.status().open), (1, 1));
}

/// The server's own limit ends the session, and its message lies in wait for the next statement.
#[tokio::test]
async fn a_session_that_the_server_closed_for_idleness_is_replaced_at_begin() {
    let (fixture, _proxy, db) = by_proxy().await;
    let mut session = db.session().await.unwrap();
    let id = session.fetch_one(Postgres::BACKEND).await.unwrap();
    // This is the last statement before the wait, or a slow machine would find the session gone
    // before.
    session
        .execute("SET idle_session_timeout = '20ms'")
        .await
        .unwrap();
    drop(session);
    until_gone(&fixture, Postgres::number(&id)).await;

    let tx = db.begin().await.unwrap();

    tx.commit().await.unwrap();
    assert_eq!((db.status().idle, db.status().open), (1, 1));
}

/// Here, too, the transaction and its session are gone, which is more than a failed statement.
#[tokio::test]
async fn a_transaction_that_the_server_ended_for_idleness_was_lost_with_its_connection() {
    let (fixture, _proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let id = number(&mut tx, Postgres::BACKEND).await.unwrap();
    tx.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
        .await
        .unwrap();
    until_gone(&fixture, id).await;

    let error = txn::Error::from(insert(&mut tx, 2).await.unwrap_err());

    assert!(error.is_connection(), "{error}");
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_aborted() && error.is_connection(), "{error}");
    db.settled().await;
    assert_eq!((db.status().in_use, db.status().open), (0, 0));
    assert!(fixture.ids().await.is_empty());
}

/// A query that returns two rows, and then the error of a division by zero.
const FAILS_HALF_WAY: &str = "SELECT 6 / (3 - n) FROM generate_series(1, 3) n";

#[tokio::test]
async fn an_error_behind_the_rows_that_were_read_is_not_the_next_statements() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    assert!(db.fetch(FAILS_HALF_WAY).try_next().await.unwrap().is_some());
    let row = db.fetch_one("SELECT 1::bigint").await.unwrap();
    assert_eq!(Postgres::number(&row), 1);

    let mut session = db.session().await.unwrap();
    let first = session.fetch(FAILS_HALF_WAY).try_next().await;
    assert!(first.unwrap().is_some());
    session.execute("SELECT 1").await.unwrap();
    drop(session);
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

#[tokio::test]
async fn an_error_behind_the_rows_that_were_read_aborts_the_transaction_as_any_other() {
    let db = Fixture::<Postgres>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let first = tx.fetch(FAILS_HALF_WAY).try_next().await;
    assert!(first.unwrap().is_some());

    let error = tx.commit().await.unwrap_err();

    assert!(error.is_aborted(), "{error}");
    assert_eq!(error.code().as_deref(), Some("22012"), "division_by_zero");
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_role_that_may_not_change_settings_has_sessions_all_the_same() {
    let server = Postgres::server().start().unwrap();
    let admin = Db::<Postgres>::connect(&server.url()).await.unwrap();
    admin.execute("CREATE ROLE plain LOGIN").await.unwrap();
    admin.execute("REVOKE EXECUTE ON FUNCTION set_config FROM PUBLIC").await.unwrap();
    let options: sqlx::postgres::PgConnectOptions = server.url().parse().unwrap();

    let db = patient::<Postgres>(options.username("plain")).connect().await.unwrap();

    let tx = db.begin().await.unwrap();
    tx.commit().await.unwrap();
}

/// The last answer of the server counts: a transaction that it goes on with was not committed.
#[tokio::test]
async fn a_server_that_goes_on_with_the_transaction_after_its_commit_is_no_success() {
    const OUTSIDE: &[u8] = b"Z\0\0\0\x05I";
    const INSIDE: &[u8] = b"Z\0\0\0\x05T";
    let fixture = Fixture::<Postgres>::new().await;
    let (proxy, options) = Postgres::by_proxy(fixture.url());
    let db = Db::<Postgres>::builder(options).max_sessions(1).connect().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    proxy.forge(OUTSIDE, INSIDE);
    let error = tx.commit().await.unwrap_err();
    assert!(error.to_string().contains("goes on with the transaction"), "{error}");
    db.settled().await;

    let mut session = db.session().await.unwrap();
    assert!(!session.connection().is_in_transaction());
    drop(session);
    for id in 2..4 {
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
    }
    // The server has committed, and only the forged answer says otherwise.
    assert_eq!(fixture.ids().await, [1, 2, 3]);
}

/// A cancel must know the session by its server's name or by when it began.
#[tokio::test]
async fn a_drop_is_settled_whatever_the_role_may_not_see() {
    let server = Postgres::server().start().unwrap();
    let admin = Db::<Postgres>::connect(&server.url()).await.unwrap();
    let member = "CREATE ROLE plain LOGIN; CREATE ROLE other; GRANT other TO plain; \
        GRANT pg_signal_backend TO other";
    admin.execute(member).await.unwrap();
    let hide = "REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC";
    let begin = |role: Option<&'static str>| {
        let options: sqlx::postgres::PgConnectOptions = server.url().parse().unwrap();
        let options = options.username("plain").options(role.map(|role| ("role", role)));
        Db::<Postgres>::builder(options).max_sessions(1).connect()
    };
    for (hides, role, kept) in [
        (false, None, 1),
        (false, Some("other"), 1),
        (true, None, 1),
        (true, Some("other"), 0),
    ] {
        if hides {
            admin.execute(hide).await.unwrap();
        }
        let db = begin(role).await.unwrap();
        let warnings = Warnings::listen();
        let mut tx = db.begin().await.unwrap();
        let slow = (&mut tx).execute(Postgres::SLOW_QUERY);
        let dropped = tokio::time::timeout(std::time::Duration::from_millis(100), slow).await;
        assert!(dropped.is_err());
        drop(tx);
        db.settled().await;
        assert_eq!(db.status().idle, kept, "{hides} {role:?}");
        // The cancel is not tried until its time is over.
        let left = warnings.with("left to its server");
        assert_eq!(left, 1 - kept, "{hides} {role:?}: {:?}", warnings.all());
    }
}
