//! Isolation and access mode are kept, and requests that the engine or the transaction cannot meet
//! are refused.

use tokio::sync::Notify;
use txn::{BeginOptions, Error, Isolation, Tx, transactional};

use super::*;

#[transactional(isolation = serializable)]
async fn serializable(tx: &mut Tx<DB>) -> Result<i64, Error> {
    Ok(number(tx, "SELECT COUNT(*) FROM t").await?)
}

#[transactional(isolation = serializable, read_only)]
async fn serializable_reader(tx: &mut Tx<DB>) -> Result<i64, Error> {
    serializable_reading(tx).await
}

#[transactional(isolation = serializable, read_only)]
async fn serializable_reading(tx: &mut Tx<DB>) -> Result<i64, Error> {
    Ok(number(tx, "SELECT COUNT(*) FROM t").await?)
}

#[transactional(read_only)]
async fn read(tx: &mut Tx<DB>) -> Result<i64, Error> {
    Ok(number(tx, "SELECT COUNT(*) FROM t").await?)
}

#[transactional(read_only)]
async fn write_while_reading(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[transactional(read_only)]
async fn call_a_writer(tx: &mut Tx<DB>) -> Result<(), Error> {
    write(tx).await
}

#[transactional]
async fn write(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[tokio::test]
async fn joining_refuses_another_isolation() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    let joined = serializable(&mut tx).await;
    if DB::ONE_WRITER {
        assert_eq!(joined.unwrap(), 0); // SQLite has no other isolation
    } else {
        let error = joined.unwrap_err().to_string();
        assert!(error.contains("asks for isolation serializable"), "{error}");
        assert!(error.contains("the default"), "{error}");
    }
    // The transaction that it could not join goes on.
    write(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1]);
}

#[tokio::test]
async fn joining_refuses_to_write_inside_of_a_reader() {
    let db = Fixture::<DB>::new().await;
    let error = call_a_writer(&*db).await.unwrap_err().to_string();
    assert!(error.contains("joins a read-only transaction"), "{error}");
    assert!(db.ids().await.is_empty());
}

#[tokio::test]
async fn joining_accepts_the_same_isolation_and_less_access() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(serializable_reader(&*db).await.unwrap(), 0);
    let mut tx = db.begin().await.unwrap();
    write(&mut tx).await.unwrap();
    assert_eq!(read(&mut tx).await.unwrap(), 1);
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn the_database_refuses_writes_of_a_read_only_scope() {
    let db = Fixture::<DB>::new().await;
    let error = write_while_reading(&*db).await.unwrap_err();
    let read_only = ["25006", "1792", "8"];
    assert!(read_only.contains(&&*error.code().unwrap()), "{error}");
    assert!(db.ids().await.is_empty());
    // The session is a writer's again afterwards.
    write(&*db).await.unwrap();
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_read_only_scope_that_was_dropped_leaves_a_session_that_can_write() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    #[transactional(read_only)]
    async fn stop_reading(tx: &mut Tx<DB>, there: &Notify) -> Result<(), Error> {
        number(tx, "SELECT COUNT(*) FROM t").await?;
        there.notify_one();
        std::future::pending().await
    }
    let there = Notify::new();
    tokio::select! {
        _ = stop_reading(&*db, &there) => unreachable!("it does not end"),
        () = there.notified() => {}
    }
    write(&*db).await.unwrap();
    assert_eq!(db.ids().await, [1]);
}

/// The server reports the isolation, where it can be asked.
#[tokio::test]
async fn the_isolation_is_the_one_asked_for() {
    let db = Fixture::<DB>::new().await;
    let Some((ask, expected)) = DB::ISOLATION else {
        return; // SQLite has one, and the macro refuses the others
    };
    let asked = ask_isolation(&*db, ask).await.unwrap();
    assert!(asked.eq_ignore_ascii_case(expected), "{asked}");
}

#[transactional(isolation = serializable)]
async fn ask_isolation(tx: &mut Tx<DB>, ask: &'static str) -> Result<String, sqlx::Error> {
    number(tx, "SELECT COUNT(*) FROM t").await?; // MySQL begins in earnest with the first read
    sqlx::query_scalar(ask).fetch_one(tx).await
}

#[transactional(name = "asked", isolation = serializable, read_only)]
async fn asks_for_itself(tx: &mut Tx<DB>) -> Result<(), Error> {
    let found = (tx.name(), tx.depth(), tx.attempt(), tx.is_read_only());
    assert_eq!(found, ("asked", 0, 1, true));
    assert_eq!(tx.isolation(), Some(txn::Isolation::Serializable));
    nested_asks(tx).await?;
    assert_eq!(tx.depth(), 0);
    let shown = format!("{tx:?}");
    assert!(shown.contains("asked") && shown.contains("Active"), "{shown}");
    Ok(())
}

#[transactional(name = "inner", nested, read_only)]
async fn nested_asks(tx: &mut Tx<DB>) -> Result<(), Error> {
    assert_eq!((tx.name(), tx.depth()), ("inner", 1));
    Ok(())
}

#[tokio::test]
async fn a_transaction_can_be_asked_about_itself() {
    let db = Fixture::<DB>::new().await;
    asks_for_itself(&*db).await.unwrap();
    let tx = db.begin().await.unwrap();
    assert!(!tx.is_read_only() && tx.isolation().is_none());
}

#[transactional(db as tx, isolation = serializable, read_only, deferrable)]
async fn deferred(db: &txn::Db<DB>) -> Result<i64, Error> {
    Ok(number(tx, "SELECT COUNT(*) FROM t").await?)
}

/// An option that the engine lacks is refused when the scope opens, where the compiler could not
/// know the engine.
#[tokio::test]
async fn deferrable_is_refused_where_the_engine_has_none() {
    let db = Fixture::<DB>::new().await;
    match deferred(&db).await {
        Ok(rows) => assert!(DB::FAILURE_ABORTS && rows == 0),
        Err(error) => {
            assert!(!DB::FAILURE_ABORTS, "{error}");
            let text = error.to_string();
            assert!(text.contains("remove `deferrable`"), "{text}");
        }
    }
    db.assert_at_rest().await;
}

const READS: BeginOptions = BeginOptions::named("by_hand.reads").read_only();
const SERIALIZABLE: BeginOptions =
    BeginOptions::named("by_hand.serializable").isolation(Isolation::Serializable);
const WEAK: BeginOptions =
    BeginOptions::named("by_hand.weak").isolation(Isolation::ReadCommitted);
const DEFERRABLE: BeginOptions = BeginOptions::named("by_hand.deferrable")
    .isolation(Isolation::Serializable)
    .read_only()
    .deferrable();

#[tokio::test]
async fn a_transaction_by_hand_takes_the_options_of_an_annotation() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let mut tx = db.begin_with(&READS).await.unwrap();
    assert_eq!(db.scopes().await[0].name, "by_hand.reads");
    assert_eq!(read(&mut tx).await.unwrap(), 0);
    let refused = Error::from(insert(&mut tx, 1).await.unwrap_err());
    assert!(refused.code().is_some(), "{refused}");
    // On SQLite it does not wait for the turn to write, which another has.
    let mut writer = db.begin_with(&SERIALIZABLE).await.unwrap();
    assert_eq!(serializable(&mut writer).await.unwrap(), 0);
    insert(&mut writer, 2).await.unwrap();
    tx.rollback().await.unwrap();
    writer.commit().await.unwrap();
    assert_eq!(db.ids().await, [2]);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn what_the_engine_lacks_is_refused_by_hand_too() {
    let db = Fixture::<DB>::of_sessions(1).await;
    match db.begin_with(&WEAK).await {
        Ok(tx) => tx.rollback().await.unwrap(),
        Err(error) => {
            let text = error.to_string();
            assert!(DB::ONE_WRITER && text.contains("by_hand.weak"), "{text}");
        }
    }
    match db.begin_with(&DEFERRABLE).await {
        Ok(tx) => tx.rollback().await.unwrap(),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("deferrable") && text.contains("by_hand.deferrable"), "{text}");
        }
    }
    db.assert_at_rest().await;
}

/// The name tells it from others in an error.
#[tokio::test]
async fn the_error_of_a_transaction_by_hand_has_its_name() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut tx = db.begin_with(&SERIALIZABLE).await.unwrap();
    fails(&mut tx).await.unwrap_err();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rollback_only(), "{error}");
    assert!(error.to_string().contains("by_hand.serializable"), "{error}");
}

#[transactional]
async fn fails(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    Err(sqlx::Error::RowNotFound.into())
}
