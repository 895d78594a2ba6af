//! Asks the server what became of a transaction when the answer to its COMMIT was lost.
//!
//! It costs no round trip while nothing is lost: the id of the transaction is read along with
//! BEGIN, and the identity of the server in the greeting of the session, which cannot outlive that
//! run of the server.
//!
//! An answer counts only if it comes from the run of the server that the transaction was begun in.
//! In a crash, the server loses the ids of all transactions that had not reached the log, and gives
//! them to others. Another server has ids of its own. In both cases an answer about the id would be
//! about some other transaction, whether it says "committed" or "aborted".

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::engine::{Engine, Verified};
use crate::pool::Db;

/// How long to wait after the first question. Each pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How often another server may answer, because several share an address, before the right one is
/// taken to be gone.
const TRIES_ELSEWHERE: u32 = 5;

/// Asks until the server says whether the transaction was committed. Returns `None` if there is no
/// answer within the settle timeout, or none that proves anything.
pub(crate) async fn verify<DB: Engine>(
    db: &Db<DB>,
    transaction: &str,
    server: &str,
) -> Option<bool> {
    let asking = ask_until_over(db, transaction, server);
    match timeout(db.settle_timeout(), asking).await {
        Ok(Verified::Committed) => Some(true),
        Ok(Verified::Aborted) => Some(false),
        Ok(_) | Err(_) => None,
    }
}

/// Asks again and again until the transaction is no longer in progress.
async fn ask_until_over<DB: Engine>(db: &Db<DB>, transaction: &str, server: &str) -> Verified {
    let mut pause = FIRST_PAUSE;
    let mut elsewhere = 0;
    loop {
        match ask(db, transaction, server).await {
            Ok(Verified::InProgress) => {}
            Ok(Verified::Elsewhere) if elsewhere < TRIES_ELSEWHERE => {
                elsewhere += 1;
                db.reconnect_control().await;
            }
            Ok(verified) => return verified,
            Err(error) => {
                tracing::debug!(
                    target: "txn", system = DB::SYSTEM, %error,
                    "cannot ask about a commit yet"
                );
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Asks once, on another session or connection.
async fn ask<DB: Engine>(
    db: &Db<DB>,
    transaction: &str,
    server: &str,
) -> Result<Verified, sqlx::Error> {
    let Some(question) = DB::ask_about(transaction, server) else {
        return Ok(Verified::Forgotten);
    };
    let mut answer = Verified::Forgotten;
    db.ask(&question, |row| answer = DB::verified(row)).await?;
    Ok(answer)
}
