//! A mistake of the user's is a clear error, of the right kind, and at once.

use std::time::{Duration, Instant};

use sqlx::Executor;
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, insert};
use crate::support::dialect::Dialect;

/// The default `acquire_timeout`.
const LIMIT: Duration = Duration::from_secs(30);

/// Connects to `url`, and returns the error, which must come in time.
async fn refused(url: &str) -> Error {
    let before = Instant::now();
    let error = Db::<DB>::connect(url).await.unwrap_err();
    assert!(before.elapsed() < LIMIT, "{error}");
    error
}

#[tokio::test]
async fn the_url_of_another_engine_is_refused_with_the_right_scheme() {
    let other = [
        "mysql://root@localhost/test",
        "postgres://postgres@localhost/postgres",
        "sqlite://a.db",
    ];
    for url in other.into_iter().filter(|url| !url.starts_with(DB::SCHEME)) {
        let text = refused(url).await.to_string();
        assert!(
            text.contains("not a database URL of") && text.contains(DB::NAME),
            "{url}: {text}"
        );
        assert!(text.contains(&format!("`{}", DB::SCHEME)), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_as_such() {
    for url in ["", "bank", "http://", "::", "postgres//localhost"] {
        let text = refused(url).await.to_string();
        assert!(
            text.contains("not a database URL of") && text.contains(DB::NAME),
            "{url:?}: {text}"
        );
    }
}

#[tokio::test]
async fn an_address_where_nobody_is_is_a_connection_error() {
    let directory = tempfile::tempdir().unwrap();
    for url in DB::unreachable(directory.path()) {
        let error = refused(&url).await;
        assert!(error.is_connection(), "{url}: {error}");
        assert!(
            error.to_string().starts_with("cannot open a session: "),
            "{url}: {error}"
        );
    }
}

#[transactional]
async fn writes_elsewhere(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.execute("INSERT INTO missing_table (id) VALUES (1)")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_missing_table_is_an_error_with_the_engines_code_and_costs_no_session() {
    let db = Fixture::<DB>::new().await;
    let in_scope = writes_elsewhere(&*db).await.unwrap_err();
    assert_eq!(
        in_scope.code().as_deref(),
        Some(DB::MISSING_TABLE),
        "{in_scope}"
    );
    assert!(in_scope.to_string().contains("missing_table"), "{in_scope}");
    let alone = Error::from(
        db.execute("INSERT INTO missing_table (id) VALUES (1)")
            .await
            .unwrap_err(),
    );
    assert_eq!(alone.code().as_deref(), Some(DB::MISSING_TABLE), "{alone}");
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

#[transactional]
async fn writes(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[tokio::test]
async fn an_exhausted_pool_says_how_long_was_waited_and_who_has_the_sessions() {
    let limit = Duration::from_secs(2);
    let db =
        Fixture::<DB>::in_haste(|builder| builder.max_sessions(1).acquire_timeout(limit)).await;
    let held = db.begin().await.unwrap();

    let error = writes(&*db).await.unwrap_err();

    assert!(error.is_acquire_timeout() && error.is_timeout(), "{error}");
    assert!(!error.is_connection() && !error.is_closed(), "{error}");
    let text = error.to_string();
    for part in [
        "within 2s",
        "(waited ",
        "of 1 sessions 1 are in use",
        match <DB as crate::support::engine::TestEngine>::ONE_WRITER {
            true => "one writer at a time",
            false => "`max_sessions`",
        },
        "::writes`)",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    held.rollback().await.unwrap();
    writes(&*db).await.unwrap();
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_handle_used_after_close_says_so_on_every_way() {
    let db = Fixture::<DB>::new().await;
    let clone = Db::clone(&db);
    clone.close().await;
    let errors = [
        writes(&*db).await.unwrap_err(),
        db.begin().await.unwrap_err(),
        db.session().await.map(drop).unwrap_err(),
        db.execute("SELECT 1").await.unwrap_err().into(),
        db.fetch_all("SELECT 1").await.unwrap_err().into(),
        db.fetch_optional("SELECT 1")
            .await
            .map(drop)
            .unwrap_err()
            .into(),
    ];
    for error in errors {
        assert!(error.is_closed() && !error.is_acquire_timeout(), "{error}");
    }
    // To close a handle twice does no harm.
    db.close().await;
}
