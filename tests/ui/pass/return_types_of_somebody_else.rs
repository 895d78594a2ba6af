#![deny(warnings)]

use std::ops::ControlFlow;

use txn::{Db, Sqlite, Tx, Verdict, transactional};

mod web {
    pub type Result<T, E = (u16, String)> = std::result::Result<T, E>;

    #[derive(Debug)]
    pub struct Status(pub u16);
}

mod errors {
    pub fn to_status(_: txn::Error) -> super::web::Status {
        super::web::Status(500)
    }

    pub fn to_pair(error: txn::Error) -> (u16, String) {
        (500, error.public_message().to_owned())
    }
}

#[transactional(error = errors::to_status)]
async fn by_status(tx: &mut Tx<Sqlite>, id: i64) -> Result<i64, web::Status> {
    let rows = sqlx::query("SELECT ?").bind(id).fetch_all(tx).await;
    rows.map(|_| id).map_err(|_| web::Status(500))
}

#[transactional(error = errors::to_pair, retry, timeout = "1s")]
async fn by_alias(tx: &mut Tx<Sqlite>, text: String) -> web::Result<impl AsRef<str>> {
    sqlx::query("SELECT 1").execute(tx).await.map_err(|_| (500, String::new()))?;
    Ok(text)
}

#[transactional(db as tx, error = errors::to_status, commit_on(web::Status(404)))]
async fn with_rules(db: &Db<Sqlite>) -> Result<impl Iterator<Item = u8>, web::Status> {
    match sqlx::query("SELECT 1").execute(tx).await {
        Ok(_) => Ok([1, 2].into_iter()),
        Err(_) => return Err(web::Status(404)),
    }
}

fn goes_on(flow: &ControlFlow<String, u8>) -> Verdict {
    match flow {
        ControlFlow::Continue(_) => Verdict::Commit,
        ControlFlow::Break(_) => Verdict::Rollback,
    }
}

fn stops(error: txn::Error) -> ControlFlow<String, u8> {
    ControlFlow::Break(error.to_string())
}

#[transactional(outcome = goes_on, error = stops)]
async fn by_flow(tx: &mut Tx<Sqlite>) -> ControlFlow<String, u8> {
    match sqlx::query("SELECT 1").execute(tx).await {
        Ok(_) => ControlFlow::Continue(1),
        Err(error) => ControlFlow::Break(error.to_string()),
    }
}

fn large<E>(result: &Result<u8, E>) -> Verdict {
    match result {
        Ok(128..) => Verdict::Commit,
        _ => Verdict::Rollback,
    }
}

#[transactional(nested, outcome = large)]
async fn by_size(tx: &mut Tx<Sqlite>, size: u8) -> Result<u8, txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(size)
}

/// The error type is a parameter, and nothing is asked of it but what the function says.
trait Carries {
    fn carry(error: txn::Error) -> Self;
}

#[transactional(error = E::carry)]
async fn generic<E: Carries>(tx: &mut Tx<Sqlite>) -> Result<(), E> {
    tx.set_rollback_only("nothing to keep");
    Ok(())
}

impl Carries for u8 {
    fn carry(_: txn::Error) -> Self {
        0
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await.unwrap();
    assert_eq!(by_status(&db, 1).await.unwrap(), 1);
    assert_eq!(by_alias(&db, "a".into()).await.ok().unwrap().as_ref(), "a");
    assert_eq!(with_rules(&db).await.unwrap().sum::<u8>(), 3);
    assert_eq!(by_flow(&db).await, ControlFlow::Continue(1));
    assert_eq!(by_size(&db, 1).await.unwrap(), 1);
    generic::<u8>(&db).await.unwrap();
    tokio::spawn(async move { by_status(&db, 2).await.unwrap() }).await.unwrap();
}
