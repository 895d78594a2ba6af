//! Handlers whose response decides about the commit: a status of 400 or more rolls back, and is
//! still returned.
//!
//! - `Outcome` is implemented for the response type, so that handlers need no `Result` and no `?`,
//!   and a failure of the transaction itself is a response too.
//! - `error = PATH` names a function in place of a trait, for the types of a web framework, which
//!   nobody else can implement traits for.
//! - `rollback_on` and `commit_on` with guards are for a `Result` of which only some values end
//!   differently.
//!
//! ```text
//! cargo run --example response
//! ```

use txn::{Db, Error, Outcome, Sqlite, Tx, Verdict, transactional};

/// A response, as a web framework would send it.
#[derive(Debug, PartialEq, Eq)]
struct Response {
    status: u16,
    body: String,
}

impl Response {
    fn new(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        Self { status, body }
    }
}

impl Outcome for Response {
    fn verdict(&self) -> Verdict {
        match self.status {
            0..400 => Verdict::Commit,
            _ => Verdict::Rollback,
        }
    }

    /// Returns the response if the transaction could not begin or commit. The text of the error is
    /// for the log, because it names scopes, source locations and lock holders. The client gets one
    /// without internals.
    fn from_error(error: Error) -> Self {
        let status = match () {
            () if error.is_acquire_timeout() || error.is_closed() => 503,
            () if error.is_connection() || error.is_overloaded() => 503,
            () if error.is_timeout() => 504,
            () if error.is_retryable() => 409,
            () => 500,
        };
        eprintln!("{error}");
        Self::new(status, error.public_message())
    }
}

#[transactional(timeout = "2s")]
async fn withdraw(tx: &mut Tx<Sqlite>, id: i64, cents: i64) -> Response {
    match try_withdraw(tx, id, cents).await {
        Ok(None) => Response::new(404, format!("no account {id}")),
        Ok(Some(left)) if left < 0 => Response::new(422, format!("{} cents short", -left)),
        Ok(Some(left)) => Response::new(200, format!("{left} cents left")),
        Err(error) => Response::from_error(error.into()),
    }
}

/// Withdraws money. It is not annotated, because it does not decide about the transaction.
async fn try_withdraw(
    tx: &mut Tx<Sqlite>,
    id: i64,
    cents: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let update = "UPDATE account SET cents = cents - ? WHERE id = ? RETURNING cents";
    let query = sqlx::query_scalar(update).bind(cents).bind(id);
    query.fetch_optional(tx).await
}

/// What a handler may fail with, as axum's `(StatusCode, String)`.
type Refusal = (u16, String);

fn refusal(error: Error) -> Refusal {
    let Response { status, body } = Response::from_error(error);
    (status, body)
}

#[transactional(error = refusal, read_only)]
async fn balance(tx: &mut Tx<Sqlite>, id: i64) -> Result<String, Refusal> {
    let select = sqlx::query_scalar::<_, i64>("SELECT cents FROM account WHERE id = ?").bind(id);
    match select.fetch_optional(tx).await {
        Ok(Some(cents)) => Ok(format!("{cents} cents")),
        Ok(None) => Err((404, format!("no account {id}"))),
        Err(error) => Err(refusal(error.into())),
    }
}

#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error("wrong password, {left} attempts left")]
    WrongPassword { left: i64 },
    #[error("{}", .0.public_message())]
    Database(#[from] Error),
}

impl From<sqlx::Error> for LoginError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Logs a user in.
///
/// A failed attempt is counted although the login is refused, so that `Err` commits until there is
/// nothing left to count. A guest is let in without a trace, so that `Ok` rolls back.
#[transactional(
    commit_on(LoginError::WrongPassword { left } if *left >= 0),
    rollback_on(user if user == "guest")
)]
async fn log_in(tx: &mut Tx<Sqlite>, password: &str) -> Result<String, LoginError> {
    let update = "UPDATE login SET attempts = attempts - 1 RETURNING attempts";
    let left = sqlx::query_scalar(update).fetch_one(tx).await?;
    match password {
        "guest" => Ok("guest".to_owned()),
        "sesame" => Ok("ali".to_owned()),
        _ => Err(LoginError::WrongPassword { left }),
    }
}

async fn attempts(db: &Db<Sqlite>) -> Result<i64, Error> {
    let select = sqlx::query_scalar("SELECT attempts FROM login");
    Ok(select.fetch_one(db).await?)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    sqlx::raw_sql(
        "CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
         CREATE TABLE login (attempts INTEGER NOT NULL);
         INSERT INTO account VALUES (1, 1000);
         INSERT INTO login VALUES (2);",
    )
    .execute(&db)
    .await?;

    for (id, cents, expected) in [(1, 400, 200), (1, 700, 422), (2, 1, 404), (1, 600, 200)] {
        let response = withdraw(&db, id, cents).await;
        println!("withdraw {cents} from {id}: {response:?}");
        assert_eq!(response.status, expected, "the refused ones took nothing");
    }

    assert_eq!(balance(&db, 1).await, Ok("0 cents".to_owned()));
    assert_eq!(balance(&db, 2).await.unwrap_err().0, 404);

    for (password, left) in [("a", 1), ("guest", 1), ("b", 0), ("c", 0)] {
        let answer = log_in(&db, password).await;
        println!("log in with {password:?}: {answer:?}");
        assert_eq!(attempts(&db).await?, left);
    }

    db.close().await;
    let response = withdraw(&db, 1, 1).await;
    println!("after closing time: {response:?}");
    assert_eq!(response.status, 503);
    assert_eq!(balance(&db, 1).await.unwrap_err().0, 503);
    Ok(())
}
