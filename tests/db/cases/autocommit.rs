//! Statements run without a scope, through `&Db` and a `Session`; and statements with arguments run
//! everywhere.

use futures_util::TryStreamExt;
use sqlx::{Executor, Row, SqlSafeStr, Statement};

use super::{DB, Fixture, insert};
use crate::support::dialect::Dialect;

/// The fixture has one session, so that each statement meets what the one before has left on it.
async fn with_three_rows() -> Fixture<DB> {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    let inserted = db
        .execute("INSERT INTO t (id, n) VALUES (1, 10), (2, 20), (3, 30)")
        .await
        .unwrap();
    assert_eq!(inserted.rows_affected(), 3);
    db
}

#[tokio::test]
async fn each_statement_through_the_handle_is_committed_by_itself() {
    let db = with_three_rows().await;
    let other = Fixture::<DB>::ids(&db).await;
    assert_eq!(other, [1, 2, 3]);
    let one: i64 = sqlx::query_scalar("SELECT n FROM t WHERE id = 2")
        .fetch_one(&*db)
        .await
        .unwrap();
    assert_eq!(one, 20);
    let none = db
        .fetch_optional("SELECT n FROM t WHERE id = 4")
        .await
        .unwrap();
    assert!(none.is_none());
    db.assert_at_rest().await;
}

#[tokio::test]
async fn fetch_optional_of_many_rows_is_the_first_and_leaves_the_session_clean() {
    let db = with_three_rows().await;
    for _ in 0..3 {
        let first = db
            .fetch_optional("SELECT id FROM t ORDER BY id")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(first.get::<i64, _>(0), 1);
        let bound = sqlx::query(DB::SELECT_FROM)
            .bind(2_i64)
            .fetch_optional(&*db)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(bound.get::<i64, _>(0), 20);
    }
    assert_eq!(db.ids().await, [1, 2, 3]);
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

#[tokio::test]
async fn a_row_stream_dropped_half_way_costs_the_next_statement_nothing() {
    let db = with_three_rows().await;
    for _ in 0..3 {
        let mut rows = db.fetch("SELECT id FROM t ORDER BY id");
        let first = rows.try_next().await.unwrap().unwrap();
        assert_eq!(first.get::<i64, _>(0), 1);
        drop(rows);
        assert_eq!(db.ids().await, [1, 2, 3]);
    }
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

#[tokio::test]
async fn a_row_stream_dropped_half_way_in_a_scope_costs_the_scope_nothing() {
    let db = with_three_rows().await;
    let mut tx = db.begin().await.unwrap();
    {
        let mut rows = sqlx::query(DB::SELECT_FROM).bind(1_i64).fetch(&mut tx);
        assert!(rows.try_next().await.unwrap().is_some());
    }
    insert(&mut tx, 4).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_failed_statement_through_the_handle_costs_no_session() {
    let db = with_three_rows().await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 0)")
        .await
        .unwrap_err();
    assert_eq!(db.ids().await, [1, 2, 3]);
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

#[tokio::test]
async fn statements_with_arguments_run_through_handle_session_and_transaction() {
    let db = with_three_rows().await;
    let insert = |id: i64| sqlx::query(DB::INSERT_WITH_BINDS).bind(id).bind(10 * id);
    insert(4).execute(&*db).await.unwrap();
    let mut session = db.session().await.unwrap();
    insert(5).execute(&mut session).await.unwrap();
    drop(session);
    let mut tx = db.begin().await.unwrap();
    insert(6).execute(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    for id in 4..=6 {
        let n: i64 = sqlx::query_scalar(DB::SELECT_WITH_BIND)
            .bind(id)
            .fetch_one(&*db)
            .await
            .unwrap();
        assert_eq!(n, 10 * id);
    }
}

#[tokio::test]
async fn a_prepared_statement_runs_where_it_was_prepared_and_elsewhere() {
    let db = with_three_rows().await;
    let mut tx = db.begin().await.unwrap();
    let prepared = tx
        .prepare(DB::SELECT_WITH_BIND.into_sql_str())
        .await
        .unwrap();
    for id in 1..=3 {
        let row = prepared.query().bind(id).fetch_one(&mut tx).await.unwrap();
        assert_eq!(row.get::<i64, _>(0), 10 * id);
    }
    tx.commit().await.unwrap();
    let row = prepared.query().bind(2_i64).fetch_one(&*db).await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 20);
    let prepared = db
        .prepare(DB::SELECT_WITH_BIND.into_sql_str())
        .await
        .unwrap();
    let row = prepared.query().bind(3_i64).fetch_one(&*db).await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 30);
}
