//! An operator sees the open scopes.

use sqlx::Executor;
use txn::{Error, OpenScope, ScopeState, Tx, WaitsFor, transactional};

use super::*;

mod states;
mod warnings;

const HERE: u32 = line!();

#[transactional]
/// The scope's location is this function's, and not the attribute's.
async fn shown(tx: &mut Tx<DB>) -> Result<String, Error> {
    Ok(format!("{tx:?}"))
}

macro_rules! made_by_a_macro {
    ($name:ident) => {
        #[transactional]
        async fn $name(tx: &mut Tx<DB>) -> Result<String, Error> {
            Ok(format!("{tx:?}"))
        }
    };
}

made_by_a_macro!(made);

#[tokio::test]
async fn a_transaction_shows_where_in_the_source_it_was_begun() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let at = |line: u32| format!("begun_at: Some({}:{line})", file!());
    let debug = shown(&*db).await.unwrap();
    assert!(debug.contains(&at(HERE + 4)), "{debug}");
    let debug = made(&*db).await.unwrap();
    assert!(debug.contains(&at(HERE + 17)), "{debug}");
    let (here, tx) = (line!(), db.begin().await.unwrap());
    let debug = format!("{tx:?}");
    assert!(debug.contains(&at(here)), "{debug}");
}

/// The only scope that is open.
async fn the_one(db: &Fixture<DB>) -> OpenScope {
    let mut scopes = db.scopes().await;
    assert_eq!(scopes.len(), 1, "{scopes:?}");
    scopes.remove(0)
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    joined(tx, id).await
}

#[transactional]
async fn joined(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[tokio::test]
async fn an_open_scope_is_listed_with_what_its_caller_has_sent() {
    let db = Fixture::<DB>::of_sessions(2).await;
    assert!(db.scopes().await.is_empty());
    let (line, mut tx) = (line!(), db.begin().await.unwrap());
    nested(&mut tx, 1).await.unwrap();
    nested(&mut tx, 2).await.unwrap();
    number(&mut tx, "SELECT COUNT(*) FROM t").await.unwrap();
    let scope = the_one(&db).await;
    assert_eq!(scope.name, "a transaction begun by hand");
    assert_eq!(
        scope.location.unwrap().to_string(),
        format!("{}:{line}", file!())
    );
    assert_eq!((scope.state, scope.statements), (ScopeState::Idle, 3));
    assert_eq!((scope.waits_for, scope.waits_on), (None, vec![]));
    assert_ne!(scope.session.unwrap(), 0);
    tx.commit().await.unwrap();
    assert!(db.scopes().await.is_empty());

    let (line, session) = (line!(), db.session().await.unwrap());
    let scope = the_one(&db).await;
    assert_eq!(scope.name, "a session in autocommit mode");
    assert_eq!(scope.location.unwrap().line(), line);
    drop(session);
    assert!(db.scopes().await.is_empty());
}

#[transactional]
async fn panics(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    panic!("said by the body");
}

#[transactional]
async fn fails(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert_twice(tx, 1).await?;
    Ok(())
}

/// Nothing is listed after a drop. (`assert_at_rest` and `assert_recovered` ask for the same after
/// drops at each poll.)
#[tokio::test]
async fn a_scope_that_has_ended_is_gone_however_it_ended() {
    let db = Fixture::<DB>::of_sessions(1).await;
    joined(&*db, 9).await.unwrap();
    assert!(db.scopes().await.is_empty());
    fails(&*db).await.unwrap_err();
    assert!(db.scopes().await.is_empty());
    db.begin().await.unwrap().rollback().await.unwrap();
    assert!(db.scopes().await.is_empty());
    drop(db.begin().await.unwrap());
    db.assert_at_rest().await;
    let handle = txn::Db::clone(&db);
    let panicked = tokio::spawn(async move { panics(&handle).await }).await;
    assert!(panicked.unwrap_err().is_panic());
    db.assert_at_rest().await;
    let mut session = db.session().await.unwrap();
    session.connection();
    drop(session);
    db.assert_at_rest().await;
    let tx = db.begin().await.unwrap();
    let (_, ()) = tokio::join!(db.close(), async { tx.commit().await.unwrap() });
    assert!(db.scopes().await.is_empty());
}

#[tokio::test]
async fn the_error_of_an_acquire_timeout_names_who_has_what_was_waited_for() {
    let patience = std::time::Duration::from_millis(50);
    let db =
        Fixture::<DB>::in_haste(|builder| builder.max_sessions(1).acquire_timeout(patience)).await;
    let (line, mut tx) = (line!(), db.begin().await.unwrap());
    insert(&mut tx, 1).await.unwrap();
    let error = joined(&*db, 2).await.unwrap_err();
    assert!(error.is_acquire_timeout());
    let [holder] = error.holders() else {
        panic!("{error}")
    };
    assert_eq!(holder.name, "a transaction begun by hand");
    assert_eq!((holder.state, holder.statements), (ScopeState::Idle, 1));
    let text = error.to_string();
    let held = format!(
        "held for longest by `a transaction begun by hand` ({}:{line}) for ",
        file!()
    );
    assert!(text.contains(&held), "{text}");
    assert!(text.contains("between statements, 1 statement"), "{text}");
    tx.rollback().await.unwrap();
    assert!(fails(&*db).await.unwrap_err().holders().is_empty());
}

#[tokio::test]
async fn scopes_of_a_sandbox_are_listed_in_its_place() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let sandbox = db.sandbox().await.unwrap();
    assert_eq!(the_one(&db).await.name, "a sandbox");
    let mut tx = sandbox.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    assert_eq!(the_one(&db).await.statements, 1);
    let mut second = Box::pin(joined(&sandbox, 2));
    assert!(crate::support::drop_points::is_pending(&mut second).await);
    let scopes = sandbox.scopes().await;
    assert_eq!(scopes.len(), 2, "{scopes:?}");
    assert_eq!(scopes[1].waits_for, Some(WaitsFor::Session));
    assert_eq!(scopes[1].waits_on[0].name, Some(scopes[0].name));
    tx.commit().await.unwrap();
    second.await.unwrap();
    assert_eq!(the_one(&db).await.name, "a sandbox");
    sandbox.close().await;
    db.assert_at_rest().await;
}

#[tokio::test]
async fn who_waits_is_listed_with_those_it_waits_on() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut held = db.session().await.unwrap();
    held.execute("SELECT 1").await.unwrap();
    let mut waiter = Box::pin(db.session());
    assert!(crate::support::drop_points::is_pending(&mut waiter).await);
    let scopes = db.scopes().await;
    let [holder, waiting] = &scopes[..] else {
        panic!("{scopes:?}")
    };
    assert_eq!(waiting.state, ScopeState::Waiting);
    assert_eq!(waiting.waits_for, Some(WaitsFor::Session));
    assert_eq!(waiting.session, None);
    assert_eq!(waiting.waits_on.len(), 1);
    assert_eq!(waiting.waits_on[0].session, holder.session);
    assert_eq!(holder.statements, 1);
    let text = waiting.to_string();
    assert!(text.contains("waiting for a session held by"), "{text}");
    drop(waiter);
    the_one(&db).await;

    drop(held);
    let tx = db.begin().await.unwrap();
    let mut waiter = Box::pin(joined(&*db, 2));
    assert!(crate::support::drop_points::is_pending(&mut waiter).await);
    let scopes = db.scopes().await;
    let expected = match DB::ONE_WRITER {
        true => WaitsFor::Turn,
        false => WaitsFor::Session,
    };
    assert_eq!(scopes[1].waits_for, Some(expected));
    assert_eq!(scopes[1].waits_on[0].name, Some(scopes[0].name));
    tx.rollback().await.unwrap();
    waiter.await.unwrap();
    db.assert_at_rest().await;
}

/// The lock that the scope waited for is there: it waits for nobody but its own caller, who should
/// poll it, and the others wait for it.
#[tokio::test]
async fn who_could_go_on_and_is_not_polled_is_listed_as_such() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let held = db.begin().await.unwrap();
    let (line, mut unpolled) = (line!(), Box::pin(db.begin()));
    assert!(crate::support::drop_points::is_pending(&mut unpolled).await);
    let waits_for = match DB::ONE_WRITER {
        true => WaitsFor::Turn,
        false => WaitsFor::Session,
    };
    assert_eq!(db.scopes().await[1].waits_for, Some(waits_for));
    held.rollback().await.unwrap();
    let scope = the_one(&db).await;
    assert_eq!((scope.state, scope.session), (ScopeState::Waiting, None));
    assert_eq!((scope.waits_for, &*scope.waits_on), (Some(WaitsFor::Poll), &[][..]));
    let text = scope.to_string();
    assert!(text.ends_with(": waiting for its own caller to poll its future"), "{text}");

    let mut next = Box::pin(db.begin());
    assert!(crate::support::drop_points::is_pending(&mut next).await);
    let scopes = db.scopes().await;
    assert_eq!(scopes[1].waits_for, Some(waits_for));
    let [on] = &scopes[1].waits_on[..] else {
        panic!("{scopes:?}")
    };
    assert_eq!((on.name, on.session), (Some(scope.name), None));
    assert_eq!(on.location.unwrap().line(), line);

    unpolled.await.unwrap().rollback().await.unwrap();
    next.await.unwrap().rollback().await.unwrap();
    db.assert_at_rest().await;
}
