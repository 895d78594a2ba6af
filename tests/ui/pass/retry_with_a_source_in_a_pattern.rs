//! As handlers of web frameworks take their state: the source is read from what a pattern binds.

#![deny(warnings)]

use std::sync::Arc;

use txn::{Db, Sqlite, transactional};

#[derive(Clone)]
struct App {
    db: Arc<Db<Sqlite>>,
}

#[derive(Clone)]
struct State<T>(T);

#[transactional(app.db as tx, retry)]
async fn order(State(app): State<App>, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT ?").bind(id).execute(tx).await?;
    Ok(())
}

#[transactional(app.db as tx, retry = 3, timeout = "1s")]
async fn order_with_all(
    (State(mut app), name): (State<App>, String),
    &id: &i64,
    ref text: String,
) -> Result<usize, sqlx::Error> {
    app.clone_from(&app.clone());
    sqlx::query("SELECT ?").bind(id).execute(tx).await?;
    Ok(name.len() + text.len())
}

#[transactional(db as tx, retry)]
async fn by_value(db: Db<Sqlite>) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

#[transactional(db as tx, retry)]
async fn by_reference(db: &Db<Sqlite>, id: i64) -> Result<i64, txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(id)
}

#[transactional(State(db).0 as tx, retry)]
async fn by_expression(&(ref db, _): &(Db<Sqlite>, i64)) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

#[transactional(db as db, retry)]
async fn under_the_name_of_the_source(db: &Db<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(db).await?;
    Ok(())
}

#[transactional(db as tx, retry)]
async fn by_features(
    #[cfg(not(windows))] db: &Db<Sqlite>,
    #[cfg(windows)] db: Missing,
    #[cfg(windows)] State(missing): State<Missing>,
) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    let app = App { db: Arc::new(db.clone()) };
    order(State(app.clone()), 1).await?;
    let length = order_with_all((State(app), "four".into()), &1, "five".into()).await?;
    assert_eq!(length, 8);
    by_value(db.clone()).await?;
    under_the_name_of_the_source(&db).await?;
    by_features(&db).await?;
    by_expression(&(db.clone(), 1)).await?;
    assert_eq!(by_reference(&db, 7).await?, 7);
    tokio::spawn(async move { by_value(db).await }).await.unwrap()?;
    Ok(())
}
