//! A COMMIT whose answer was lost: the server can be asked what became of the transaction.
//!
//! Costs no round trip while nothing is lost: the transaction's id is asked for along with BEGIN,
//! and who its server is was told in the greeting of the session, which cannot outlive the server's
//! run.
//!
//! An answer counts only if it comes from the run of the server that the transaction was begun in.
//! A crash loses the ids of all that had not reached the log, and they are given to strangers;
//! another server has ids of its own. What either says of an id is about somebody else's
//! transaction, "aborted" no less than "committed".

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::engine::{Engine, Verified};
use crate::pool::Db;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Another server may have been asked because several share an address; after so many times, the
/// one is taken to be gone.
const TRIES_ELSEWHERE: u32 = 5;

/// Whether the transaction was committed; asks until there is an answer. `None` if there is none
/// within the settle timeout, or none that proves anything.
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
                tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "cannot ask about a commit yet");
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

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
