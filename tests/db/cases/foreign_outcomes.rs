//! Return types of somebody else's, for which nobody can implement `From<txn::Error>`: a function
//! says what a failure of the scope becomes, and what commits.

use txn::{Db, Error, Tx, Verdict, transactional};

use super::{DB, Fixture, TestEngine, insert, insert_twice};
use crate::support::drop_trial::{Marks, Trial};

/// What web frameworks let a handler fail with.
type Refusal = (u16, String);

/// Only what the error's own predicates say, and never its text.
#[allow(clippy::needless_pass_by_value, reason = "the error is handed over")]
fn refusal(error: Error) -> Refusal {
    match () {
        () if error.is_closed() => (503, "closed".into()),
        () if error.is_timeout() => (504, "timeout".into()),
        () if error.is_rollback_only() => (409, "rollback only".into()),
        () => (500, error.public_message().into()),
    }
}

fn sorry(_: sqlx::Error) -> Refusal {
    (500, "statement".into())
}

fn not_found() -> Refusal {
    (404, "not found".into())
}

#[transactional(error = refusal)]
async fn write(tx: &mut Tx<DB>, id: i64) -> Result<i64, Refusal> {
    insert(tx, id).await.map_err(sorry)?;
    match id {
        ..100 => Ok(id),
        _ => Err(not_found()),
    }
}

#[tokio::test]
async fn ok_commits_and_err_rolls_back_unchanged() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(write(&*db, 1).await, Ok(1));
    assert_eq!(write(&*db, 404).await, Err(not_found()));
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
    db.close().await;
    assert_eq!(write(&*db, 2).await, Err((503, "closed".into())));
}

#[transactional(error = refusal)]
async fn swallow(tx: &mut Tx<DB>) -> Result<(), Refusal> {
    write(tx, 404).await.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn a_commit_that_is_refused_is_what_the_function_makes_of_it() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(swallow(&*db).await, Err((409, "rollback only".into())));
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[transactional(error = refusal, timeout = "50ms")]
async fn sleep(tx: &mut Tx<DB>) -> Result<(), Refusal> {
    insert(tx, 1).await.map_err(sorry)?;
    std::future::pending().await
}

#[tokio::test]
async fn so_is_a_timeout() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(sleep(&*db).await, Err((504, "timeout".into())));
    db.settled().await;
    assert!(db.ids().await.is_empty());
}

/// A response is no `Result`, and its status says whether to commit.
#[derive(Debug, PartialEq)]
struct Response(u16);

fn by_status(response: &Response) -> Verdict {
    match response.0 {
        ..400 => Verdict::Commit,
        _ => Verdict::Rollback,
    }
}

fn failed(error: Error) -> Response {
    Response(refusal(error).0)
}

#[transactional(outcome = by_status, error = failed)]
async fn respond(tx: &mut Tx<DB>, id: i64, status: u16) -> Response {
    match insert(tx, id).await {
        Ok(()) => Response(status),
        Err(_) => Response(500),
    }
}

#[tokio::test]
async fn a_response_commits_as_its_status_says() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(respond(&*db, 1, 201).await, Response(201));
    assert_eq!(respond(&*db, 2, 404).await, Response(404));
    assert_eq!(respond(&*db, 1, 201).await, Response(500));
    assert_eq!(db.ids().await, [1]);
    db.close().await;
    assert_eq!(respond(&*db, 3, 201).await, Response(503));
}

/// The body returns a 201 although a statement has failed, which PostgreSQL does not commit.
#[transactional(outcome = by_status, error = failed)]
async fn respond_anyway(tx: &mut Tx<DB>) -> Response {
    insert_twice(tx, 1).await.unwrap_err();
    Response(201)
}

#[tokio::test]
async fn a_response_is_never_a_false_success() {
    let db = Fixture::<DB>::new().await;
    let Response(status) = respond_anyway(&*db).await;
    match DB::FAILURE_ABORTS {
        true => assert_eq!((status, db.ids().await), (500, vec![])),
        false => assert_eq!((status, db.ids().await), (201, vec![1])),
    }
}

fn found(status: &Result<u16, Error>) -> Verdict {
    match status {
        Ok(..400) => Verdict::Commit,
        Ok(_) | Err(_) => Verdict::Rollback,
    }
}

/// The error type is one of ours, and only the verdict is the function's.
#[transactional(nested, outcome = found)]
async fn status(tx: &mut Tx<DB>, id: i64, status: u16) -> Result<u16, Error> {
    insert(tx, id).await?;
    Ok(status)
}

/// A value whose type has no name says nothing about the error.
#[transactional(error = refusal)]
async fn statuses(
    tx: &mut Tx<DB>,
    ids: &[i64],
) -> Result<impl Iterator<Item = u16>, Refusal> {
    let mut all = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        let as_asked = if at % 2 == 0 { 200 } else { 404 };
        all.push(status(tx, *id, as_asked).await.map_err(refusal)?);
    }
    Ok(all.into_iter().rev())
}

#[tokio::test]
async fn a_nested_scope_is_undone_as_its_function_says() {
    let db = Fixture::<DB>::new().await;
    let all = statuses(&*db, &[1, 2, 3]).await.unwrap();
    assert_eq!(all.collect::<Vec<_>>(), [200, 404, 200]);
    assert_eq!(db.ids().await, [1, 3]);
    assert_eq!(statuses(&*db, &[4, 5, 1]).await.err().unwrap().0, 500);
    assert_eq!(db.ids().await, [1, 3]);
}

struct Shop {
    db: Db<DB>,
}

impl Shop {
    #[transactional(self.db as tx, outcome = by_status, error = failed, name = "shop.order")]
    async fn order(&self, id: i64) -> Response {
        match insert(tx, id).await {
            Ok(()) if id < 100 => Response(200),
            _ => Response(409),
        }
    }
}

#[tokio::test]
async fn the_binding_form_takes_them_too() {
    let db = Fixture::<DB>::new().await;
    let shop = Shop { db: db.clone() };
    assert_eq!(shop.order(2).await, Response(200));
    assert_eq!(shop.order(100).await, Response(409));
    assert_eq!(db.ids().await, [2]);
}

#[transactional(outcome = by_status, error = failed)]
async fn respond_to(tx: &mut Tx<DB>, marks: &Marks) -> Response {
    if insert(tx, 1).await.is_err() {
        return Response(500);
    }
    marks.commits(&[1]);
    Response(201)
}

#[tokio::test]
async fn dropped_after_any_number_of_polls_it_commits_all_or_nothing() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| {
            assert_eq!(respond_to(db, marks).await, Response(201));
        })
        .await;
}
