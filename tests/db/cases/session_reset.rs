//! A user leaves something on a session, and the next one sees it or does not.

use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, SqlStr};
use txn::{Db, DbBuilder, Error, Reset, Tx, transactional};

use super::{DB, Fixture, insert};
use crate::support::drop_points::{PLENTY, poll_at_most};
use crate::support::session_leftovers::SessionLeftovers;

/// A fixture with one session, so that the next user gets what the last one had.
async fn fixture(reset: Reset) -> Fixture<DB> {
    Fixture::<DB>::with(|builder| builder.max_sessions(1).reset(reset)).await
}

/// Puts a name of this test's own into the statement.
fn own(db: &Fixture<DB>, sql: &str) -> SqlStr {
    let name: String = db.place().name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("left_over_{}", &name[name.len().saturating_sub(20)..]);
    AssertSqlSafe(sql.replace("left_over", &name)).into_sql_str()
}

/// Asks what the next user sees.
async fn ask(db: &Fixture<DB>, question: &str) -> String {
    db.settled().await;
    let sql = sqlx::raw_sql(own(db, question));
    match sql.fetch_one(&**db).await {
        Ok(row) => DB::text(&row),
        Err(error) => format!("code {:?}", Error::from(error).code()),
    }
}

#[transactional]
async fn in_scope(tx: &mut Tx<DB>, sql: SqlStr) -> Result<(), Error> {
    tx.execute(sqlx::raw_sql(sql)).await?;
    Ok(())
}

#[transactional(nested)]
async fn in_nested(tx: &mut Tx<DB>, sql: SqlStr) -> Result<(), Error> {
    in_scope(tx, sql).await
}

/// Runs the statement, in one of the ways that there are.
async fn leave(db: &Fixture<DB>, form: usize, sql: &str) -> Result<(), Error> {
    let sql = own(db, sql);
    match form {
        0 => {
            let mut session = db.session().await?;
            session.execute(sqlx::raw_sql(sql)).await?;
        }
        1 => in_scope(&**db, sql).await?,
        2 => {
            let mut tx = db.begin().await?;
            in_nested(&mut tx, sql).await?;
            tx.commit().await?;
        }
        3 => {
            let mut session = db.session().await?;
            session.connection().execute(sqlx::raw_sql(sql)).await?;
        }
        4 => {
            let mut tx = db.begin().await?;
            tx.connection().await?.execute(sqlx::raw_sql(sql)).await?;
            tx.commit().await?;
        }
        _ => {
            db.execute(sqlx::raw_sql(sql)).await?;
        }
    }
    Ok(())
}

const FORMS: usize = 6;

async fn assert_nothing_is_left(reset: Reset) {
    let db = fixture(reset).await;
    for (sql, question) in DB::LEFTOVERS {
        for form in 0..FORMS {
            let before = ask(&db, question).await;
            leave(&db, form, sql).await.unwrap_or_else(|error| panic!("{form}, {sql}: {error}"));
            assert_eq!(ask(&db, question).await, before, "{form}, {sql}");
        }
    }
    db.assert_at_rest().await;
}

#[tokio::test]
async fn what_was_seen_is_undone_before_the_next_user_comes() {
    assert_nothing_is_left(Reset::Noticed).await;
}

#[tokio::test]
async fn everything_is_undone_before_the_next_user_comes() {
    assert_nothing_is_left(Reset::Everything).await;
}

/// This is the default.
#[tokio::test]
async fn unless_asked_for_nothing_is_undone() {
    for (sql, question) in DB::LEFTOVERS {
        let db = Fixture::<DB>::of_sessions(1).await;
        let before = ask(&db, question).await;
        leave(&db, 0, sql).await.unwrap();
        assert_ne!(ask(&db, question).await, before, "{sql}");
    }
}

/// A scope that rolls back, one that is dropped, and one that fails leave what no rollback undoes.
#[tokio::test]
async fn a_scope_that_does_not_commit_leaves_nothing_either() {
    for reset in [Reset::Noticed, Reset::Everything] {
        let db = fixture(reset).await;
        for (sql, question) in DB::LEFTOVERS {
            let before = ask(&db, question).await;
            let mut tx = db.begin().await.unwrap();
            tx.execute(sqlx::raw_sql(own(&db, sql))).await.unwrap();
            tx.rollback().await.unwrap();
            assert_eq!(ask(&db, question).await, before, "{sql}");
            let mut tx = db.begin().await.unwrap();
            tx.execute(sqlx::raw_sql(own(&db, sql))).await.unwrap();
            drop(tx);
            assert_eq!(ask(&db, question).await, before, "{sql}");
        }
        db.assert_at_rest().await;
    }
}

/// A function changes a setting out of sight.
#[tokio::test]
async fn only_everything_undoes_what_was_not_seen() {
    let Some(hidden) = DB::HIDDEN else {
        return;
    };
    for (reset, undone) in [(Reset::Noticed, false), (Reset::Everything, true)] {
        let db = fixture(reset).await;
        let mut session = db.session().await.unwrap();
        session.execute(hidden.create).await.unwrap();
        drop(session);
        let before = ask(&db, hidden.ask).await;
        in_scope(&*db, own(&db, hidden.call)).await.unwrap();
        // A scope finds the setting so, too.
        let mut tx = db.begin().await.unwrap();
        let row = tx.fetch_one(own(&db, hidden.ask)).await.unwrap();
        assert_eq!(DB::text(&row) == before, undone, "{reset:?}");
        tx.rollback().await.unwrap();
        assert_eq!(ask(&db, hidden.ask).await == before, undone, "{reset:?}");
    }
}

#[transactional]
async fn adds(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional]
async fn takes_back(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    Err(sqlx::Error::RowNotFound.into())
}

/// A statement that rides in front of a BEGIN is no part of the transaction, and does not end it.
#[tokio::test]
async fn scopes_are_what_they_are_on_sessions_that_are_reset() {
    for reset in [Reset::Noticed, Reset::Everything] {
        let db = fixture(reset).await;
        for id in 0..4 {
            adds(&*db, 10 + id).await.unwrap();
            takes_back(&*db, 20 + id).await.unwrap_err();
            db.execute(AssertSqlSafe(format!("INSERT INTO t (id, n) VALUES (3{id}, 0)")))
                .await
                .unwrap();
        }
        assert_eq!(db.ids().await, [10, 11, 12, 13, 30, 31, 32, 33], "{reset:?}");
        db.assert_at_rest().await;
    }
}

/// A session on which nobody noticed anything goes back at once.
#[tokio::test]
async fn a_session_on_which_nothing_was_seen_goes_back_at_once() {
    let db = fixture(Reset::Noticed).await;
    for id in 0..3 {
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        db.assert_sessions(1, 1, 0, 0);
    }
}

#[tokio::test]
async fn a_session_that_is_reset_is_dropped_nowhere_on_the_way() {
    let db = fixture(Reset::Everything).await;
    let (sql, question) = DB::LEFTOVERS[0];
    let before = ask(&db, question).await;
    for polls in 0..PLENTY {
        let left = leave(&db, polls % 2, sql);
        let ended = poll_at_most(polls, Box::pin(left)).await;
        assert_eq!(ask(&db, question).await, before, "{polls}");
        db.assert_at_rest().await;
        if ended.is_some() && polls > 20 {
            return;
        }
    }
    panic!("never complete");
}

/// The caller is dropped while the reset rides in front of its BEGIN, or goes before its statement.
#[tokio::test]
async fn a_user_who_is_dropped_while_the_session_is_reset_leaves_it_for_the_next() {
    let Some(hidden) = DB::HIDDEN else {
        return;
    };
    let db = fixture(Reset::Everything).await;
    let mut session = db.session().await.unwrap();
    session.execute(hidden.create).await.unwrap();
    drop(session);
    let before = ask(&db, hidden.ask).await;
    for polls in 0..PLENTY {
        in_scope(&*db, own(&db, hidden.call)).await.unwrap();
        let next = match polls % 2 {
            0 => poll_at_most(polls, db.begin().map(|begun| begun.map(drop))).await,
            _ => poll_at_most(polls, db.session().map(|taken| taken.map(drop))).await,
        };
        assert_eq!(ask(&db, hidden.ask).await, before, "{polls}");
        db.assert_at_rest().await;
        if next.is_some_and(|next| next.is_ok()) && polls > 6 {
            return;
        }
    }
    panic!("never complete");
}

fn set_up(builder: DbBuilder<DB>) -> DbBuilder<DB> {
    builder.max_sessions(1).after_connect(|connection, _| {
        Box::pin(async move { connection.execute(DB::SET_UP.0).await.map(drop) })
    })
}

/// The setting is no leftover.
#[tokio::test]
async fn what_after_connect_sets_holds_after_a_reset() {
    for reset in [Reset::Noticed, Reset::Everything] {
        let db = Fixture::<DB>::with(|builder| set_up(builder).reset(reset)).await;
        let (_, question, answer) = DB::SET_UP;
        for form in 0..FORMS {
            leave(&db, form, DB::LEFTOVERS[0].0).await.unwrap();
            assert_eq!(ask(&db, question).await, answer);
            assert_eq!(ask(&db, question).await, answer, "and after that");
        }
        db.assert_at_rest().await;
    }
}

#[tokio::test]
async fn a_session_is_brought_back_where_that_can_be_done_and_else_closed() {
    let db = fixture(Reset::Noticed).await;
    let mut held = db.session().await.unwrap();
    held.execute(sqlx::raw_sql(own(&db, DB::LEFTOVERS[0].0))).await.unwrap();
    drop(held);
    db.settled().await;
    assert_eq!(db.status().open, usize::from(DB::IS_RESET));
    adds(&*db, 1).await.unwrap();
}

/// The scopes of a sandbox share a session anyway; when the sandbox ends, the session is cleaned
/// for others.
#[tokio::test]
async fn a_sandbox_leaves_nothing_behind_when_it_ends() {
    for reset in [Reset::Noticed, Reset::Everything] {
        let db = fixture(reset).await;
        let (sql, question, _) = DB::SET_UP;
        let before = ask(&db, question).await;
        let sandbox = db.sandbox().await.unwrap();
        in_scope(&sandbox, own(&db, sql)).await.unwrap();
        adds(&sandbox, 1).await.unwrap();
        sandbox.close().await;
        assert_eq!(ask(&db, question).await, before);
        assert!(db.ids().await.is_empty());
        db.assert_at_rest().await;
    }
}

#[tokio::test]
async fn a_closed_handle_resets_nothing() {
    let db = fixture(Reset::Everything).await;
    let mut session = db.session().await.unwrap();
    session.execute(sqlx::raw_sql(own(&db, DB::LEFTOVERS[0].0))).await.unwrap();
    let closing = {
        let db = Db::clone(&db);
        tokio::spawn(async move { db.close().await })
    };
    tokio::task::yield_now().await;
    drop(session);
    closing.await.unwrap();
    assert_eq!(db.status().open, 0);
}
